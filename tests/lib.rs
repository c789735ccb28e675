//! The lab: namespaces, packets and real clients for the tests of banchi.

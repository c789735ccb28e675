"""What the IEC 104 peers agree on."""

PORT = 2404
STATION = 47
MEASURED, COMMAND = 11, 12

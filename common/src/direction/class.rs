//! Classes, and sets of them.

/// What a payload shows itself as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
#[cfg_attr(feature = "std", serde(rename_all = "kebab-case"))]
#[repr(u8)]
pub enum Class {
    /// The bytes do not tell, or not alone.
    #[default]
    Undecidable = 0,
    /// It asks, commands or opens.
    Request = 1,
    /// It answers, acknowledges or refuses.
    Response = 2,
    /// It reports unasked, and wants at most to be acknowledged.
    Notification = 3,
}

impl Class {
    /// The class with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Undecidable),
            1 => Some(Self::Request),
            2 => Some(Self::Response),
            3 => Some(Self::Notification),
            _ => None,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undecidable => "undecidable",
            Self::Request => "request",
            Self::Response => "response",
            Self::Notification => "notification",
        }
    }
}

/// A set of classes: bit 1 << class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes(pub u8);

impl Classes {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// Requests.
    pub const REQUEST: Self = Self(1 << Class::Request as u8);
    /// Responses.
    pub const RESPONSE: Self = Self(1 << Class::Response as u8);
    /// Notifications.
    pub const NOTIFY: Self = Self(1 << Class::Notification as u8);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the class is in the set; [`Class::Undecidable`] never is.
    #[must_use]
    #[inline(always)]
    pub const fn holds(self, class: Class) -> bool {
        self.0 >> class as u8 & !matches!(class, Class::Undecidable) as u8 & 1 != 0
    }
}

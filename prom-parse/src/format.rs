//! Which of the two text formats a body is written in.

/// A text exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Format {
    /// The Prometheus text format 0.0.4: `text/plain; version=0.0.4`.
    Prometheus,
    /// OpenMetrics 1.0: `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// The format that a `Content-Type` header names, or `None` where it names neither.
    ///
    /// Only the media type counts, in any case; parameters (version, charset, escaping) are ignored. What to do with
    /// `None` is the caller's choice: exporters are known to serve 0.0.4 under all kinds of names.
    ///
    /// ```
    /// use prom_parse::Format;
    ///
    /// let header = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    /// assert_eq!(Format::from_content_type(header), Some(Format::OpenMetrics));
    /// assert_eq!(Format::from_content_type("text/plain"), Some(Format::Prometheus));
    /// assert_eq!(Format::from_content_type("text/html"), None);
    /// ```
    pub fn from_content_type(header: &str) -> Option<Self> {
        let media_type = header.split(';').next().unwrap_or_default().trim();
        [Self::Prometheus, Self::OpenMetrics]
            .into_iter()
            .find(|format| media_type.eq_ignore_ascii_case(format.media_type()))
    }

    /// The format's media type, without parameters.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain",
            Self::OpenMetrics => "application/openmetrics-text",
        }
    }

    /// The full `Content-Type` under which an exporter serves this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn the_media_type_alone_decides() {
        for format in [Format::Prometheus, Format::OpenMetrics] {
            assert_eq!(Format::from_content_type(format.content_type()), Some(format));
        }
        assert_eq!(Format::from_content_type(" TEXT/Plain ;version=9"), Some(Format::Prometheus));
        assert_eq!(Format::from_content_type("Application/OpenMetrics-Text"), Some(Format::OpenMetrics));
        for neither in
            ["", ";", "text", "text/plainer", "application/json", "application/vnd.google.protobuf"]
        {
            assert_eq!(Format::from_content_type(neither), None, "{neither:?}");
        }
    }
}

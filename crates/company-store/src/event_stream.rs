//! Reading server-sent events.

use serde_json::Value;

/// One event of a stream.
#[derive(Debug, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub kind: String,
    pub data: Value,
}

/// Events of one response, until it ends or breaks.
pub struct EventStream {
    response: reqwest::Response,
    parser: Parser,
}

impl EventStream {
    #[must_use]
    pub fn new(response: reqwest::Response) -> Self {
        Self { response, parser: Parser::default() }
    }

    /// The next event; `None` when the stream has ended, for whatever reason.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parser.next_event() {
                return Some(event);
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.parser.push(&chunk);
        }
    }
}

/// The part of the WHATWG event-stream format that the store sends: `id`, `event`, `data`, comments.
#[derive(Default)]
struct Parser {
    buffer: Vec<u8>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend(bytes.iter().filter(|byte| **byte != b'\r'));
    }

    fn next_event(&mut self) -> Option<Event> {
        loop {
            let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            if let Some(event) = parse_block(&String::from_utf8_lossy(&block)) {
                return Some(event);
            }
        }
    }
}

fn parse_block(block: &str) -> Option<Event> {
    let mut id = None;
    let mut kind = "message".to_owned();
    let mut data = String::new();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => id = Some(value.to_owned()),
            "event" => value.clone_into(&mut kind),
            "data" => data.push_str(value),
            _ => {}
        }
    }
    if data.is_empty() {
        return None;
    }
    let data = serde_json::from_str(&data).unwrap_or(Value::String(data));
    Some(Event { id, kind, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_bytes_arrive() {
        let stream = ": hello\n\nid: 1\nevent: step\ndata: {\"step\":\"scan\"}\n\nid: 2\r\ndata: x\r\n\r\n";
        for size in [1, 3, 7, stream.len()] {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for chunk in stream.as_bytes().chunks(size) {
                parser.push(chunk);
                events.extend(std::iter::from_fn(|| parser.next_event()));
            }
            assert_eq!(events.len(), 2);
            assert_eq!(events[0].kind, "step");
            assert_eq!(events[0].data["step"], "scan");
            assert_eq!((events[1].id.as_deref(), &events[1].data), (Some("2"), &Value::String("x".to_owned())));
        }
    }
}

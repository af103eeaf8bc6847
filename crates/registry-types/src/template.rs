//! Company templates in the JSON form of the Paperclip design document: data only, no code.

//! What watches the bytes of a reply and reads usage from them.

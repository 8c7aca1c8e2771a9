package mfa

import "log/slog"

// Secret is bytes that must not reach a log, an error text or a page by
// accident: formatting it in any way shows a fixed word. Stores may encode it.
type Secret []byte

const redacted = "[redacted]"

// String returns a fixed word.
func (Secret) String() string { return redacted }

// GoString returns a fixed word.
func (Secret) GoString() string { return redacted }

// LogValue returns a fixed word.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

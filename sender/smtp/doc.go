// Package smtp sends e-mail messages through a mail server that takes them from us:
// the provider's, or the one of the house. It is not a mail server itself: it looks
// up no MX record and keeps no message.
//
// Each message is a connection of its own. Codes are few and far between, and a
// connection that was kept has usually been closed by the other side when the next
// one is due.
//
// What a server says when it refuses stands in our errors, without what it likes to
// repeat: addresses, codes, and lines of the message.
package smtp

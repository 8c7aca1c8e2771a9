// Package totp makes and checks the codes of authenticator apps (RFC 6238) for
// the core: six digits, SHA-1, 30 seconds, which is what such apps support.
//
// It finds out *which* time step a code belongs to and leaves it to the core to
// accept each step once, inside the write that spends it. It keeps nothing.
package totp

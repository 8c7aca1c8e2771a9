// Package session turns session records into signed tokens and tokens back into
// verified sessions, with a cache that a committed change empties at once.
//
// It also signs what apps are told of a session (Assertions), with other keys and of
// another type: no function here takes that back.
//
// A token says only which session it is; what was proven stands in the record.
// Everything that is not plainly right is mfa.ErrNoSession. The package speaks
// strings and values: cookies and requests are the guard's matter, and whether a
// session suffices is mfa.Decide's.
package session

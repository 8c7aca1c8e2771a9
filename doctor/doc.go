// Package doctor judges whether requests reach the gateway as browsers send them: it takes
// what a request looked like when it came (guard.Facts), what was heard when a protected
// host was asked from outside, and what the configuration says, and returns what is wrong
// with it, in words and with the lines that mend it.
//
// Judging is pure. Probes is the one thing that keeps something: the addresses that are good
// once, for a minute, with which the command "mfa doctor" asks a host from outside. Whoever
// asks such an address hears that it was seen, and nothing else; what was seen is for the
// administrator who made it. Nothing in this package asks anybody anything.
package doctor

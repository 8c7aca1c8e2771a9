// Package mfatest holds what tests of several packages need: a clock that moves
// when told to, a recorder of events, a post that keeps letters, and a software
// authenticator whose every field can be bent. Nothing outside of tests imports it.
package mfatest

// Package clock is the gateway's clock. In a release build it is time.Now and
// nothing else. In a build with the tag testclock, and only there, tests move it
// from outside: see testclock.go. Every part that compares times with the clock
// is given Now as a value; this package is where the value comes from.
package clock

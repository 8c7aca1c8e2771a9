// Package quote makes the words of somebody else's server fit for our log and our
// errors. A mail server that refuses a message likes to repeat the address, and a
// filter the line that it did not like, which may be the one with the code.
package quote

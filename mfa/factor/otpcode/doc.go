// Package otpcode makes and checks the codes that letters carry, and knows which
// addresses and numbers letters go to.
//
// It keeps nothing and sends nothing: how long a code is good for, how many tries it
// has, and that it is spent once is decided by the core, inside its write; how many
// letters go out, by the core's throttle. What is decided here is that a text message
// costs what a text message costs: it goes to mobile numbers of the countries that
// the configuration names, and nowhere else (AC-171).
//
// The library that knows the world's numbers reads their patterns when a program
// starts, and Go has no way to put that off. It takes six milliseconds and 2 MB,
// whether text messages are on or off: too little for a build without it.
package otpcode

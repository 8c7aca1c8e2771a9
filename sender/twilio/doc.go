// Package twilio sends text messages through Twilio's Programmable Messaging, or
// through anything that takes the same requests.
//
// It speaks one request of that interface: a new message. What becomes of the message
// after Twilio has taken it is not asked for; a person who gets no code asks for
// another, and that is counted elsewhere.
package twilio

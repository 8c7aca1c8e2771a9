// Package sender is how codes, links and notices reach people. Post puts a letter
// of the gate into words and hands it to the sender of its channel, again where
// that can help; the senders themselves are packages below this one, and each
// knows one kind of other side: smtp, twilio, webhook, and log for trials.
//
// What a letter says stands in words, one file per language. Codes come without a
// link and links come alone, so that nobody gets used to opening what asks for a
// code. The last line of a letter with a code names the host that the code is for,
// in the form by which browsers offer it there and nowhere else.
//
// Everything that people chose themselves is one line of text before it is put
// anywhere. Logs and errors hold the address masked, and neither code nor link.
package sender

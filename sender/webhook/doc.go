// Package webhook hands messages to any gateway that takes a signed JSON request: a
// small program in front of a provider that we do not know.
//
// Requests are signed as the Standard Webhooks specification says, so that the other
// side can check them with a library that is there already. The name of a message is
// the same at every try: who has taken it once can answer 200 and do nothing.
package webhook

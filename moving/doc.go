// Package moving reads what other systems keep of people, for whoever moves in from there:
// one file of code for each format. It turns files into mfa.Newcomer values and says what
// of a person the gateway has no place for. It knows no store and decides nothing: what is
// read here is checked again where the accounts are made.
//
// The files come from elsewhere and may be anything. Sizes are bounded, aliases of YAML are
// refused, and an error names file and line and repeats nothing that may be a secret.
package moving

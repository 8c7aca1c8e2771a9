// Package guard is the net/http edge in front of an app. It makes one canonical
// request out of what came in, keeps identity headers and our cookies from
// passing through, asks mfa.Decide, and answers where the request may not go on.
//
// It decides nothing itself, renders no page (Refusals does) and never touches a
// store. Order of use for one request: Strip, then Check, then the app.
package guard

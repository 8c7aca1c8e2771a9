// Package api is the edge for programs: what the account page does for people, an app
// does here for its own settings page, with JSON in place of HTML.
//
// API (api.go) finds the route and opens its door; a call (call.go) is one request, and
// problem.go is the one place where an error of the core becomes an answer (RFC 9457).
// Routes are grouped in parts (part.go): each has a door, which says who may come in
// before anything is read, and its half of the OpenAPI document (openapi.go and the
// folder openapi). account.go and its neighbours are the part for the person who is
// signed in.
//
// admin.go and those named after it are the part for administrators and for programs with
// a key, which is there on a console's host only (API.Console): its door finds out who
// asks, and mfa.Administration what they may.
//
// It leaves every rule to the core, the cookies to package guard, and HTML to package
// pages. A request below /.mfa/api/account/ is believed only where it comes from a page
// of the same origin; no answer ever allows another origin anything.
package api

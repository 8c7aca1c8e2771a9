// Package pages is the net/http edge for people: it serves everything below
// /.mfa/ that a browser shows, and the answers that guard gives to people.
//
// No rule lives here. A handler parses the request once, asks the Gate, and
// shows what the Gate answered or goes where its decision says; whether somebody
// may do a thing is never decided by which page was open. Every page works
// without scripts, but for passkeys, which browsers offer to scripts alone.
//
// A page is a template of its own below templates, within one layout. All text
// stands in words, files of each language; all values of the design stand as
// tokens in assets/style.css.
//
// The console, where administrators look after people, is served by Console alone, on a
// host that carries no app; its pages begin in console.go. Each goes through administrate,
// which asks the Gate who it is before a handler runs.
//
// The address to return to travels in each page's own address (rd), so that two
// tabs never disturb each other, and is validated each time it is read.
package pages

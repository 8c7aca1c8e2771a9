// Package web holds what the HTTP edges share and must not do differently from
// each other: names and attributes of cookies, the return address, the headers
// of our own answers, the defence against cross-site requests, problem documents.
package web

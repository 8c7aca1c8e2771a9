// Package secondgate puts a second factor in front of any web app: it is a
// module for Caddy, the web server.
//
// It holds nothing itself. Importing it builds the module into a Caddy, which is
// what this command does:
//
//	xcaddy build --with github.com/secondgate/secondgate
//
// The configuration is described in package caddymodule and in docs; the rules
// are in package mfa. Who wants to know how a request is judged reads mfa/doc.go,
// mfa/decide.go, guard/guard.go and pages/pages.go, in this order.
package secondgate

import _ "github.com/secondgate/secondgate/caddymodule" // registers the modules

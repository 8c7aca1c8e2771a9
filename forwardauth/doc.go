// Package forwardauth is the net/http edge for other proxies: nginx, Traefik, a second
// Caddy, HAProxy and Envoy hold a request, ask whether it may go on, and do as they are
// answered. Each asks in its own dialect, of which nothing but that dialect's headers is
// read, and gets an answer that it understands.
//
// It decides nothing: it makes the request out of what the proxy says (read.go), finds
// whose it is (hosts.go), and has package guard judge it exactly as a request that comes
// to us by itself. Whatever cannot be read, comes from somebody who may not ask, or is
// about a host that nobody has named is refused, and said in the log: a mistake in a
// proxy's configuration must never look like a permission.
//
// Use: New, then ServeHTTP for the paths that Serves reports.
package forwardauth

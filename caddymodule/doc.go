// Package caddymodule is Secondgate as Caddy sees it, and the only package that
// imports Caddy. It holds adapters; no rule lives here.
//
//   - app.go: the app "mfa", which holds the configuration of the gateway;
//   - handler.go: the HTTP handler "mfa", which stands in front of an app;
//   - console.go: the handler "mfa_console", which has a host to itself;
//   - caddyfile.go: the global option and the directive of the same name;
//   - store.go: the namespace mfa.stores and the embedded store;
//   - runtime.go: what outlives a reload, and who may still use it;
//   - routes.go and sites.go: what the configuration around the handlers protects;
//   - desk.go: what administrators do; admin.go takes it from Caddy's admin endpoint;
//   - command.go, command_users.go: the same on the command line;
//     command_perform.go carries it out, command_config.go finds the gateway,
//     command_show.go prints the answer;
//   - metrics.go: what Prometheus is shown; metrics_*.go count it, each by what it counts;
//   - tracing.go: spans below those of Caddy's tracing;
//   - health.go: whether this gateway can serve, for load balancers;
//   - demo.go: a small app that shows what a protected app is told.
//
// It leaves decisions to package mfa, HTTP to guard and pages, and storage to
// the store packages.
package caddymodule

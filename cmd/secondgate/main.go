// Command secondgate is Caddy with the mfa module built in: Caddy's own
// commands (run, adapt, validate, reload …) and ours under "secondgate mfa".
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/secondgate/secondgate"
)

func main() {
	caddy.CustomBinaryName = "secondgate"
	caddycmd.Main()
}

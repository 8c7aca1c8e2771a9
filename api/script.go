package api

import (
	_ "embed"
	"net/http"

	"github.com/secondgate/secondgate/internal/web"
)

// ScriptPath is where the script for apps is served.
const ScriptPath = "/.mfa/secondgate.js"

//go:embed secondgate.js
var script []byte

// serveScript gives the script for apps to everybody: nothing in it is anybody's.
func (c *call) serveScript() {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		c.w.Header().Set("Allow", "GET, HEAD")
		c.fail(errMethod)
		return
	}
	h := c.w.Header()
	web.APIHeaders(h, c.req.HTTPS)
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	if c.r.Method == http.MethodGet {
		_, _ = c.w.Write(script) // nobody is left to tell when the client went away
	}
}

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/mfa"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// adminBase is where the operations stand on Caddy's admin endpoint. Whoever
// reaches that endpoint may already replace the whole configuration; it belongs
// on a local address or a socket. Caddy checks Host and Origin.
const adminBase = "/mfa/"

// maxAdminBody is the most that a request to the admin endpoint may weigh.
const maxAdminBody = 64 << 10

// adminAPI carries administrators' commands out in the running gateway:
//
//	POST /mfa/OPERATION with an adminRequest, answered by an adminAnswer
//	POST /mfa/backup, answered by a backup; see partWriter
//
// Names stand in the body and not in the address, because Caddy logs addresses.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.mfa", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes returns the one route.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminBase, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

func (*adminAPI) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("use POST")}
	}
	if mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(mediaType) != "application/json" {
		// A form of a strange site can be sent without asking, but not as JSON.
		return caddy.APIError{HTTPStatus: http.StatusUnsupportedMediaType, Err: errors.New("send application/json")}
	}
	var in adminRequest
	limit := int64(maxAdminBody)
	if r.URL.Path == adminBase+opImport {
		limit = maxImportBody
	}
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	body.DisallowUnknownFields()
	if err := body.Decode(&in); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("reading the request: %w", err)}
	}
	// Caddy keeps this module over failed reloads, so the app that runs now is
	// looked up for each request.
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		// Not "not found": a command would take that for a user who is not there.
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("no configuration with mfa is running: the gateway protects nothing with it, or is still starting")}
	}
	app := running.(*App)
	if strings.TrimPrefix(r.URL.Path, adminBase) == opHealth {
		return app.answerHealth(w, r)
	}
	v, err := app.enter(r.Context())
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	defer v.leave()
	d := newDesk(v.gate, v.policies, app.sites())
	d.at = func(address string) (*mfa.AccessQuery, error) { return app.gatesAt(v.guard, address) }
	d.rotation = v.pooled.store.keys.rotation
	d.doctor = func(p doctor.Proxy) *doctor.Report { return app.examine(v.generation, nil, p) }
	op := strings.TrimPrefix(r.URL.Path, adminBase)
	if op == opBackup {
		d.copied = copied{kindOf(app.store), v.pooled.store.store, v.pooled.store.keys.Keyset}
		return app.apiError(serveBackup(w, r, d))
	}
	out, err := d.perform(r.Context(), op, in)
	if err != nil {
		return app.apiError(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(out)
}

// apiError is how the admin endpoint answers an error of an operation. A database that is
// away is told from an operation that went wrong: it comes back by itself.
func (a *App) apiError(err error) error {
	switch status := statusOf(err); {
	case err == nil:
		return nil
	case status == http.StatusInternalServerError && a.store.away(err):
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: fmt.Errorf("%w; the gateway goes on by itself once it answers, so look at the database and the way to it: %w", errAway, err)}
	default:
		return caddy.APIError{HTTPStatus: status, Err: err}
	}
}

var _ caddy.AdminRouter = (*adminAPI)(nil)

package guard

import (
	"net/http"

	"github.com/secondgate/secondgate/mfa"
)

// Keeper writes what a browser holds. *Guard is one.
type Keeper interface {
	SetSession(w http.ResponseWriter, req *Request, s *mfa.Session) error
	SetDevice(w http.ResponseWriter, req *Request, marks string)
	SetRemembered(w http.ResponseWriter, req *Request, value string)
}

// Keep gives the browser what a step of a flow has changed: the session's token, the
// mark of a browser that is known, and what makes it stand for a second factor. Call it
// before anything is written. With an error the browser holds a session that is over,
// and the answer must say that nothing can be done now.
func Keep(k Keeper, w http.ResponseWriter, req *Request, out *mfa.Outcome) error {
	if out.Changed {
		if err := k.SetSession(w, req, out.Session); err != nil {
			return err
		}
	}
	if out.Device != "" {
		k.SetDevice(w, req, out.Device)
	}
	if out.Remember != "" {
		k.SetRemembered(w, req, out.Remember)
	}
	return nil
}

var _ Keeper = (*Guard)(nil)

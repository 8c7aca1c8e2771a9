package web

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// bodyTime is how long a body of ours may take to arrive.
const bodyTime = 30 * time.Second

// errSlow says that a body took too long.
var errSlow = errors.New("the body takes too long")

// Body returns the request's body, which ends with an error after so many bytes, and after
// half a minute. Servers bound the silence between two bytes; whoever sends one byte a second
// would hold what answers them, and the store with it, for hours (AC-207).
func Body(w http.ResponseWriter, r *http.Request, most int64) io.ReadCloser {
	return &body{http.MaxBytesReader(w, r.Body, most), time.Now().Add(bodyTime)}
}

type body struct {
	io.ReadCloser
	until time.Time
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil && time.Now().After(b.until) {
		return n, errSlow
	}
	return n, err
}

package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// AC-207: a form that comes at one byte a second.
func TestBody_AC207_EndsWhatIsSlow(t *testing.T) {
	read := func(late time.Duration, text string) error {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
		b := Body(httptest.NewRecorder(), r, 10).(*body)
		b.until = b.until.Add(-late)
		_, err := io.ReadAll(b)
		return err
	}
	if err := read(0, "0123456789"); err != nil {
		t.Errorf("in time: %v", err)
	}
	if err := read(bodyTime, "0123456789"); !errors.Is(err, errSlow) {
		t.Errorf("late: %v", err)
	}
	var large *http.MaxBytesError
	if err := read(0, "0123456789x"); !errors.As(err, &large) {
		t.Errorf("large: %v", err)
	}
}

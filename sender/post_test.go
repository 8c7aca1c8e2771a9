package sender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// fake is a sender that answers its tries with the errors of answers in turn, and
// with success after them.
type fake struct {
	mu      sync.Mutex
	answers []error
	got     []mfa.Message
	at      []time.Time
	hold    chan struct{} // a try waits for it to be closed, or for its context
	now     int           // tries under way
	most    int
}

func (f *fake) Send(ctx context.Context, m *mfa.Message) error {
	f.mu.Lock()
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.now--
		f.mu.Unlock()
	}()
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got, f.at = append(f.got, *m), append(f.at, time.Now())
	if len(f.answers) == 0 {
		return nil
	}
	err := f.answers[0]
	f.answers = f.answers[1:]
	return err
}

func (f *fake) messages() []mfa.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got
}

func (f *fake) waits() []time.Duration {
	var list []time.Duration
	for i := 1; i < len(f.at); i++ {
		list = append(list, f.at[i].Sub(f.at[i-1]))
	}
	return list
}

var (
	errLater = &mfa.SendError{Temporary: true, Err: errors.New("later")}
	errNever = &mfa.SendError{Err: errors.New("never")}
)

// newPost returns a post whose sender of e-mail is f, and closes it in the end.
func newPost(t *testing.T, f *fake, change func(*Config)) *Post {
	t.Helper()
	c := Config{Senders: map[mfa.Kind]mfa.Sender{mfa.Email: f}, Brand: Brand{Name: "Acme"}}
	if change != nil {
		change(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	return p
}

func letter() *mfa.Letter { return samples(mfa.Email, "en")["verify"] }

func TestPost_Channels(t *testing.T) {
	if got := newPost(t, new(fake), nil).Channels(); got != mfa.KindsOf(mfa.Email) {
		t.Errorf("the channels are %s", got)
	}
	for _, senders := range []map[mfa.Kind]mfa.Sender{{mfa.TOTP: new(fake)}, {mfa.Email: nil}} {
		if _, err := New(Config{Senders: senders}); err == nil {
			t.Errorf("%v was taken", senders)
		}
	}
}

// What can help is tried again, after longer and longer waits, as the same message;
// what cannot is not.
func TestPost_Tries(t *testing.T) {
	after := func(d time.Duration) error {
		return &mfa.SendError{Temporary: true, After: d, Err: errors.New("busy")}
	}
	plain := errors.New("a sender's own error")
	type span struct{ least, most time.Duration }
	first, second := span{375 * time.Millisecond, 626 * time.Millisecond}, span{750 * time.Millisecond, 1251 * time.Millisecond}
	tests := []struct {
		name    string
		answers []error
		within  time.Duration // 0: no end
		sent    bool
		waits   []span
	}{
		{"at once", nil, 0, true, nil},
		{"with the second try", []error{errLater}, 0, true, []span{first}},
		{"with the last try", []error{errLater, errLater}, 0, true, []span{first, second}},
		{"not with a fourth", []error{errLater, errLater, errLater}, 0, false, []span{first, second}},
		{"a final refusal", []error{errNever}, 0, false, nil},
		{"a final refusal after a temporary one", []error{errLater, errNever}, 0, false, []span{first}},
		{"an error of no known sort is final", []error{plain}, 0, false, nil},
		{"a wrapped temporary one", []error{fmt.Errorf("smtp: %w", errLater)}, 0, true, []span{first}},
		{"the provider asks for patience", []error{after(7 * time.Second)}, 0, true, []span{{7 * time.Second, 7 * time.Second}}},
		{"for less than we have", []error{after(time.Millisecond)}, 0, true, []span{first}},
		{"for more than there is time", []error{after(7 * time.Second)}, 5 * time.Second, false, nil},
		{"no time for a pause", []error{errLater}, 100 * time.Millisecond, false, nil},
		{"for longer than the code holds", []error{after(5 * time.Minute)}, 0, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answers: tt.answers}
				p := newPost(t, f, nil)
				ctx := t.Context()
				if tt.within > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.within)
					defer cancel()
				}
				begun := time.Now()
				err := p.Send(ctx, letter())
				if (err == nil) != tt.sent || err != nil && !errors.Is(err, mfa.ErrNotSent) {
					t.Errorf("the error is %v", err)
				}
				waits := f.waits()
				if len(waits) != len(tt.waits) {
					t.Fatalf("the waits are %v", waits)
				}
				for i, w := range waits {
					if w < tt.waits[i].least || w > tt.waits[i].most {
						t.Errorf("wait %d is %s, want %v", i+1, w, tt.waits[i])
					}
				}
				if err != nil && time.Since(begun) > 2*time.Second {
					t.Errorf("it gave up only after %s", time.Since(begun))
				}
				for _, m := range f.got {
					if m.ID == "" || m.ID != f.got[0].ID || m.Text != f.got[0].Text || !m.Expires.Equal(begun.Add(5*time.Minute)) {
						t.Errorf("the tries differ: %q %s", m.ID, m.Expires)
					}
				}
			})
		})
	}
}

// A try that hangs is given up and counts as temporary; when the caller gives up,
// there is no other.
func TestPost_Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hold: make(chan struct{})}
		p := newPost(t, f, func(c *Config) { c.Timeout = 3 * time.Second })
		begun := time.Now()
		if err := p.Send(t.Context(), letter()); !errors.Is(err, mfa.ErrNotSent) {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(begun); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("three tries of 3 s and their pauses took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun = time.Now()
		if err := p.Send(ctx, letter()); !errors.Is(err, mfa.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the caller waited %s", took)
		}
	})
}

// What waited in the queue until its code was dead is not sent, and not tried again.
func TestPost_ExpiredIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hold: make(chan struct{})}
		p := newPost(t, f, func(c *Config) { c.Workers, c.Timeout, c.Tries = 1, time.Hour, 1 })
		old, lasting := letter(), letter()
		old.Life, lasting.Life = time.Minute, time.Hour
		for _, l := range []*mfa.Letter{lasting, old, lasting} {
			if !p.Queue(l) {
				t.Fatal("not taken")
			}
		}
		time.Sleep(90 * time.Second)
		close(f.hold)
		synctest.Wait()
		if n := len(f.messages()); n != 2 {
			t.Errorf("%d messages were sent, want the two that still hold", n)
		}
	})
}

// One provider that is down must not bind every request that waits for it.
func TestPost_Send_Busy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hold: make(chan struct{})}
		p := newPost(t, f, nil)
		results := make(chan error, 20)
		for range 20 {
			go func() { results <- p.Send(t.Context(), letter()) }()
		}
		synctest.Wait()
		for range 12 {
			if err := <-results; !errors.Is(err, mfa.ErrBusy) {
				t.Errorf("the error is %v", err)
			}
		}
		close(f.hold)
		for range 8 {
			if err := <-results; err != nil {
				t.Errorf("the error is %v", err)
			}
		}
		if f.most != 8 {
			t.Errorf("%d were under way at once", f.most)
		}
		if err := p.Send(t.Context(), letter()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// The queue has an end, its workers are few, and a caller never waits for it.
func TestPost_Queue_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fake{hold: make(chan struct{})}
		p := newPost(t, f, func(c *Config) {
			c.Queue, c.Workers, c.Timeout = 10, 2, time.Hour
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		taken := 0
		for range 50 {
			if p.Queue(letter()) {
				taken++
			}
			synctest.Wait()
		}
		if taken != 12 { // ten wait, two are under way
			t.Errorf("%d were taken", taken)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("38 drops made %d lines of the log", n)
		}
		close(f.hold)
		synctest.Wait()
		if n := len(f.messages()); n != taken || f.most != 2 {
			t.Errorf("%d of %d were sent, %d at once", n, taken, f.most)
		}
	})
}

// AC-171: whoever can think of addresses does not keep from going out what tells
// owners of it.
func TestPost_Queue_AC171_StrangersHaveAPartOfIt(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	p := newPost(t, f, func(c *Config) { c.Queue, c.Workers = 16, 1 })
	defer close(f.hold)
	list := samples(mfa.Email, "en")
	fill := func(kind string) (n int) {
		for range 64 {
			if p.Queue(list[kind]) {
				n++
			}
		}
		return n
	}
	fill("notice_reset")
	for held := 0; held == 0; time.Sleep(time.Millisecond) {
		f.mu.Lock()
		held = f.now
		f.mu.Unlock()
	}
	for len(p.queue) > 0 { // the worker holds one, and the rest is taken out
		<-p.queue
	}
	if n := fill("sign_up"); n != 8 {
		t.Errorf("%d letters of new accounts are queued, want 8", n)
	}
	if n := fill("has_account"); n != 0 {
		t.Errorf("%d more of accounts that there are", n)
	}
	if n := fill("sign_in") + fill("password_reset"); n != 4 {
		t.Errorf("%d letters of codes and links, want 4", n)
	}
	if n := fill("notice_reset"); n != 4 {
		t.Errorf("%d notices, want 4", n)
	}
}

// What was queued is what is sent, whatever the caller does to it afterwards.
func TestPost_Queue_Copies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(fake)
		p := newPost(t, f, nil)
		l := samples(mfa.Email, "en")["notice_added"]
		if !p.Queue(l) {
			t.Fatal("not taken")
		}
		l.To, l.Notice.Name, l.Notice.Kind = "mallory@example.com", "Other", mfa.NoticePassword
		synctest.Wait()
		m := f.messages()[0]
		if m.To != "alice@example.com" || !strings.Contains(m.Text, "MacBook") {
			t.Errorf("sent to %s:\n%s", m.To, m.Text)
		}
	})
}

// Nobody learns from the time that Queue takes whether it had anything to do: it never
// waits, and puts nothing into words.
func TestPost_Queue_DoesNoWork(t *testing.T) {
	p := newPost(t, new(fake), nil)
	bad := letter()
	bad.Code = nil
	if !p.Queue(bad) {
		t.Error("the letter was looked at before it was queued")
	}
}

// Close delivers what waits, tries included, and takes no more.
func TestPost_Close_Drains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answers: []error{errLater, errLater}}
		p := newPost(t, f, func(c *Config) { c.Workers = 1 })
		for range 5 {
			p.Queue(letter())
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(f.messages()); n != 7 { // two tries were in vain
			t.Errorf("%d tries", n)
		}
		if p.Queue(letter()) {
			t.Error("it takes letters after it was closed")
		}
		if err := p.Send(t.Context(), letter()); !errors.Is(err, mfa.ErrNotSent) {
			t.Errorf("Send after Close: %v", err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	})
}

// A provider that hangs does not keep the gateway from stopping.
func TestPost_Close_GivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hold: make(chan struct{})}
		p := newPost(t, f, func(c *Config) { c.Workers = 2 })
		for range 5 {
			p.Queue(letter())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "5 messages were not sent") {
			t.Errorf("the error is %v", err)
		}
	})
}

// Neither code, link nor address is in the log or in an error, whatever a sender
// says; the masked address is.
func TestPost_KeepsSecrets(t *testing.T) {
	for _, kind := range []string{"verify", "password_reset", "notice_added"} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			l := samples(mfa.Email, "en")[kind]
			chatter := fmt.Errorf("550 <%s>: I will not take %s nor %s", l.To, string(l.Code), string(l.Link))
			f := &fake{answers: []error{&mfa.SendError{Temporary: true, Err: chatter}, chatter, nil}}
			p := newPost(t, f, func(c *Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			err := p.Send(t.Context(), l)
			if !errors.Is(err, mfa.ErrNotSent) {
				t.Fatalf("the error is %v", err)
			}
			if err := p.Send(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			l.Channel = mfa.SMS
			if err := p.Send(t.Context(), l); !errors.Is(err, mfa.ErrNotSent) {
				t.Fatalf("a channel without a sender: %v", err)
			}
			for where, text := range map[string]string{"error": err.Error(), "log": log.String()} {
				for _, secret := range []string{"12345678", "abcDEF", "alice@example.com"} {
					if strings.Contains(text, secret) {
						t.Errorf("%s: the %s holds %q: %s", kind, where, secret, text)
					}
				}
			}
			for _, want := range []string{"al****@example.com", "tried again", "was not sent", "was sent", "letter=" + strings.SplitN(kind, "_added", 2)[0]} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("%s: the log does not say %q: %s", kind, want, log.String())
				}
			}
		})
	}
}

// Everything at once, for the race detector: senders that come and go, a queue, and
// an end in the middle.
func TestPost_Concurrently(t *testing.T) {
	f := new(fake)
	p := newPost(t, f, func(c *Config) { c.Backoff, c.Sends = time.Microsecond, 1000 })
	for range 50 {
		f.answers = append(f.answers, errLater)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for i := range 20 {
				l := letter()
				if i%2 == 0 {
					p.Queue(l)
				} else {
					_ = p.Send(t.Context(), l)
				}
			}
		})
	}
	all.Go(func() { _ = p.Close(t.Context()) })
	all.Wait()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

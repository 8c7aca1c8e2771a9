package badger

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
)

func TestOpen_RejectsMissingOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no folder": {Keys: newKeys(t)},
		"no keys":   {Dir: t.TempDir()},
		"no events": {Dir: t.TempDir(), Keys: newKeys(t), KeepEvents: -1},
	} {
		if _, err := Open(o); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestOpen_theFolderIsForItsOwnerAlone(t *testing.T) {
	o := newOptions(t)
	openAt(t, o)
	for _, name := range []string{o.Dir, o.Dir + ".initialized"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

// AC-199: two of us on one folder would destroy it.
func TestOpen_AC199_RejectsASecondOpen(t *testing.T) {
	o := newOptions(t)
	s := openAt(t, o)
	start := time.Now()
	_, err := Open(o)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), o.Dir) {
		t.Fatalf("%v, want ErrInUse with the folder's name", err)
	}
	if waited := time.Since(start); waited < lockWait || waited > 2*lockWait {
		t.Errorf("it waited %s", waited)
	}
	if err := s.CreateUser(ctx, user(1)); err != nil {
		t.Errorf("the first one is harmed: %v", err)
	}
}

func TestOpen_waitsForTheOneBefore(t *testing.T) {
	o := newOptions(t)
	s := openAt(t, o)
	if err := s.CreateUser(ctx, user(1)); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { _ = s.Close() })
	next := openAt(t, o)
	if _, err := next.User(ctx, user(1).ID); err != nil {
		t.Error(err)
	}
}

func TestOpen_RejectsAFolderThatAnotherProcessHolds(t *testing.T) {
	if dir := os.Getenv("SECONDGATE_TEST_HOLD"); dir != "" {
		db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
		if err != nil {
			os.Exit(3)
		}
		_, _ = os.Stdout.WriteString("held\n")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent closes it
		_ = db.Close()
		os.Exit(0)
	}
	o := filled(t)
	child := exec.Command(os.Args[0], "-test.run=^TestOpen_RejectsAFolderThatAnotherProcessHolds$")
	child.Env = append(os.Environ(), "SECONDGATE_TEST_HOLD="+o.Dir)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrInUse) {
		t.Errorf("%v, want ErrInUse", err)
	}
	_ = in.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := reopen(t, "afterwards", o); err != nil {
		t.Error(err)
	}
}

func TestStore_Close(t *testing.T) {
	o := newOptions(t)
	s := openAt(t, o)
	fill(t, s)
	var wg sync.WaitGroup
	for i := range 8 { // readers and writers that are under way must not crash
		wg.Go(func() {
			for {
				var err error
				if i%2 == 0 {
					_, err = s.User(ctx, user(i).ID)
				} else {
					err = s.UpdateUser(ctx, user(i).ID, func(u *mfa.User) error { u.Credentials[0].Left++; return nil })
				}
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("after Close: %v, want ErrClosed", err)
					}
					return
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if _, err := s.User(ctx, user(1).ID); !errors.Is(err, ErrClosed) || errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// AC-188: on a full disk Badger's memory maps end the process, and every restart
// after it.
func TestStore_AC188_writesStopBeforeTheDiskIsFull(t *testing.T) {
	o := newOptions(t)
	o.MinFree = 1 << 30
	s := openAt(t, o)
	fill(t, s)
	defer func() { s.space.lookUp = freeSpace }()
	free := uint64(1<<30 - 1)
	s.space.lookUp = func(string) (uint64, error) { return free, nil }
	s.space.until.Store(0) // the five seconds are over
	if err := s.CreateUser(ctx, user(users)); !errors.Is(err, ErrFull) {
		t.Errorf("writing: %v, want ErrFull", err)
	}
	// AC-191: whoever spends a code is not told that it worked.
	if _, err := s.TakeChallenge(ctx, "c"); !errors.Is(err, ErrFull) {
		t.Errorf("taking: %v, want ErrFull", err)
	}
	if err := intact(s); err != nil {
		t.Errorf("reading: %v", err)
	}
	if _, err := s.User(ctx, user(1).ID); err != nil {
		t.Errorf("reading: %v", err)
	}
	free = 1 << 30
	if err := s.CreateUser(ctx, user(users)); !errors.Is(err, ErrFull) {
		t.Errorf("within five seconds: %v, want the answer from before", err)
	}
	s.space.until.Store(0)
	if err := s.CreateUser(ctx, user(users)); err != nil {
		t.Errorf("with room again: %v", err)
	}
	s.space.lookUp = func(string) (uint64, error) { return 0, errors.New("for this test") }
	s.space.until.Store(0)
	if err := s.CreateUser(ctx, user(users+1)); !errors.Is(err, ErrFull) {
		t.Errorf("not knowing: %v, want ErrFull", err)
	}
}

// AC-188, AC-191: somebody fills the disk and goes on with a stolen session. What
// takes away is still written where nothing else is; and where not even that can
// be, the failure is said, and the session is worth nothing here all the same.
func TestStore_AC191_endsSessionsOnAFullDisk(t *testing.T) {
	o := newOptions(t)
	s := openAt(t, o)
	put := func(id string) mfa.SessionID {
		t.Helper()
		session := &mfa.Session{ID: mfa.SessionID(id), User: user(0).ID, Complete: true, Expires: time.Now().Add(time.Hour)}
		if err := s.CreateSession(ctx, session); err != nil {
			t.Fatal(err)
		}
		return session.ID
	}
	if err := s.CreateUser(ctx, user(0)); err != nil {
		t.Fatal(err)
	}
	first, second, third, other := put("first"), put("second"), put("third"), put("other")
	var free atomic.Uint64
	s.space.floor = defaultFloor
	s.space.lookUp = func(string) (uint64, error) { return free.Load(), nil }
	leave := func(room uint64) {
		free.Store(room)
		s.space.until.Store(0)
	}
	gone := func(id mfa.SessionID) {
		t.Helper()
		if _, err := s.Session(ctx, id); !errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", id, err)
		}
	}
	announced := 0
	s.OnChange(func(mfa.UserID) { announced++ })

	leave(defaultFloor - 1)
	if err := s.CreateUser(ctx, user(1)); !errors.Is(err, ErrFull) {
		t.Errorf("creating a user: %v, want ErrFull", err)
	}
	if err := s.UpdateUser(ctx, user(0).ID, func(u *mfa.User) error { u.DisplayName = "x"; return nil }); !errors.Is(err, ErrFull) {
		t.Errorf("changing a user: %v, want ErrFull", err)
	}
	if err := s.EndSession(ctx, first); err != nil {
		t.Errorf("ending a session: %v", err)
	}
	gone(first)
	if err := s.UpdateUser(ctx, user(0).ID, func(u *mfa.User) error { u.Disabled = true; u.Generation++; return nil }); err != nil {
		t.Errorf("disabling: %v", err)
	}

	leave(reserveFloor - 1)
	announced = 0
	if err := s.EndSession(ctx, second); !errors.Is(err, ErrFull) {
		t.Errorf("ending a session: %v, want ErrFull", err)
	}
	gone(second)
	if err := s.EndUserSessions(ctx, user(0).ID, other); !errors.Is(err, ErrFull) {
		t.Errorf("ending sessions: %v, want ErrFull", err)
	}
	gone(third)
	if announced != 2 {
		t.Errorf("%d changes were announced, want 2: caches would go on", announced)
	}
	if list, err := s.UserSessions(ctx, user(0).ID); err != nil || len(list) != 1 || list[0].ID != other {
		t.Errorf("sessions: %d, %v", len(list), err)
	}
	if err := s.ReplaceSession(ctx, second, &mfa.Session{ID: "next", User: user(0).ID, Expires: time.Now().Add(time.Hour)}); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("replacing: %v, want ErrNotFound", err)
	}

	leave(defaultFloor)
	s.endDoomed(ctx)
	if n := s.doomed.Len(); n != 0 {
		t.Errorf("%d ends are not written yet", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, o)
	gone(second)
	gone(third)
	if _, err := s.Session(ctx, other); err != nil {
		t.Errorf("the session beside them: %v", err)
	}
}

func TestOpen_AC188_RejectsADiskWithoutRoom(t *testing.T) {
	o := newOptions(t)
	o.MinFree = math.MaxUint64
	if _, err := Open(o); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, badger.ManifestFilename)); err == nil {
		s := openAt(t, Options{Dir: o.Dir, Keys: o.Keys, MinFree: 1})
		if !s.Fresh() {
			t.Error("with room again it is not taken for a first start")
		}
	}
}

// A row must not go before its time, whatever clock the records live by.
func TestStore_rowsOutliveTheirRecords(t *testing.T) {
	o := newOptions(t)
	now := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	o.Now = func() time.Time { return now }
	s := openAt(t, o)
	life := func(r row) time.Duration {
		t.Helper()
		txn := s.db.NewTransaction(false)
		defer txn.Discard()
		item, err := txn.Get(r.key())
		if err != nil {
			t.Fatal(err)
		}
		if item.ExpiresAt() == 0 {
			return 0
		}
		return time.Until(time.Unix(int64(item.ExpiresAt()), 0)).Round(time.Minute)
	}
	want := func(what string, r row, d time.Duration) {
		t.Helper()
		if got := life(r); got != d {
			t.Errorf("%s lives for %s, want %s", what, got, d)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	session := &mfa.Session{ID: "s", User: "u", Complete: true, Expires: now.Add(12 * time.Hour)}
	ok(s.CreateSession(ctx, session))
	want("a session", sessionRow("s"), 36*time.Hour)
	ok(s.EndSession(ctx, "s"))
	want("the fact that it ended", sessionRow("s"), 60*time.Hour)
	half := &mfa.Session{ID: "h", User: "u", Expires: now.Add(10 * time.Minute)}
	ok(s.CreateSession(ctx, half))
	want("a half-done session", sessionRow("h"), 70*time.Minute)
	ok(s.PutChallenge(ctx, &mfa.Challenge{ID: "c", Expires: now.Add(5 * time.Minute)}))
	want("a challenge", challengeRow("c"), 65*time.Minute)
	_, err := s.TakeChallenge(ctx, "c")
	ok(err)
	want("the fact that it was taken", challengeRow("c"), 125*time.Minute)
	ok(s.PutChallenge(ctx, &mfa.Challenge{ID: "late", Expires: now.Add(-time.Hour)}))
	want("a late challenge", challengeRow("late"), time.Hour)
	ok(s.PutChallenge(ctx, &mfa.Challenge{ID: "far", Expires: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}))
	if got := life(challengeRow("far")); got < 90*365*24*time.Hour {
		t.Errorf("a challenge without end lives for %s", got)
	}
	for key, c := range map[string]struct {
		count int
		until time.Time
		life  time.Duration
	}{
		"few":  {4, time.Time{}, 30 * 24 * time.Hour},
		"some": {10, now.Add(time.Hour), 400*24*time.Hour + time.Hour},
		"lock": {50, now.Add(time.Hour), 0}, // only an administrator opens it, not time
	} {
		ok(s.UpdateAttempts(ctx, []string{key}, func(a []mfa.Attempts) error {
			a[0] = mfa.Attempts{Count: c.count, Until: c.until}
			return nil
		}))
		want("a counter with "+key, attemptsRow(key), c.life)
	}
	ok(s.CreateUser(ctx, user(1)))
	want("a user", userRow(user(1).ID), 0)
}

// Changes that come in between make a write run again, and not for ever.
func TestStore_update_runsAgainOnConflict(t *testing.T) {
	s := openAt(t, newOptions(t))
	if err := s.CreateUser(ctx, user(1)); err != nil {
		t.Fatal(err)
	}
	between := func() {
		record := s.codec.Seal(userRow("x").table, "x", []byte("{}"))
		if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(userRow("x").key(), record) }); err != nil {
			t.Fatal(err)
		}
	}
	for conflicts, wantErr := range map[int]bool{0: false, 3: false, tries - 1: false, tries: true} {
		runs := 0
		err := s.update(ctx, nil, func(w *writing) error {
			if _, err := w.taken(userRow("x")); err != nil {
				return err
			}
			if runs++; runs <= conflicts {
				between()
			}
			return w.put(userRow("y"), user(2), 0)
		})
		if (err != nil) != wantErr || runs != min(conflicts+1, tries) {
			t.Errorf("%d conflicts: %d runs, %v", conflicts, runs, err)
		}
	}
}

// AC-187: who waits behind a slow change waits no longer than they said.
func TestStore_AC187_waitingInLineEndsWithTheContext(t *testing.T) {
	s := openAt(t, newOptions(t))
	if err := s.CreateUser(ctx, user(1)); err != nil {
		t.Fatal(err)
	}
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.UpdateUser(ctx, user(1).ID, func(*mfa.User) error { close(inside); <-leave; return nil })
	})
	<-inside
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	err := s.UpdateUser(short, user(1).ID, func(*mfa.User) error { t.Error("changed"); return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the deadline", err)
	}
	close(leave)
	wg.Wait()
	if err := s.UpdateUser(ctx, user(1).ID, func(u *mfa.User) error { u.Admin = true; return nil }); err != nil {
		t.Errorf("the line is blocked: %v", err)
	}
}

func TestStore_RejectsARecordThatIsTooLarge(t *testing.T) {
	s := openAt(t, newOptions(t))
	u := user(1)
	u.DisplayName = strings.Repeat("x", valueThreshold)
	if err := s.CreateUser(ctx, u); err == nil {
		t.Error("kept; it would stand in the value log")
	}
}

func TestStore_logsNoNameAndNoSecret(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	o := newOptions(t)
	o.Logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := openAt(t, o)
	fill(t, s)
	_ = s.Close()
	openAt(t, o)
	mu.Lock()
	defer mu.Unlock()
	for _, word := range []string{"u001", "id-001", "alice", string(ended)} {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log shows %q:\n%s", word, log.String())
		}
	}
	if strings.Contains(log.String(), "level=ERROR") || strings.Contains(log.String(), "level=WARN") {
		t.Errorf("the log warns of something:\n%s", log.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

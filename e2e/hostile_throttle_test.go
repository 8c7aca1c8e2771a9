package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// halfDone is a stranger's browser that knows alice's password.
func (w *target) halfDone(t *testing.T) (*client, *answered) {
	t.Helper()
	c := w.stranger(t)
	p := c.signIn("alice")
	if !strings.Contains(p.Body, "verify/totp") {
		t.Fatalf("after the password: %d %q", p.Status, p.Title())
	}
	return c, p
}

// wrong is a code that fits no step near the gateway's time.
func (a *authenticator) wrong(t testing.TB) string {
	t.Helper()
	now := a.g.now().Unix() / 30
	for n := 0; ; n++ {
		code := fmt.Sprintf("%06d", n)
		fits := false
		for step := now - 25; step <= now+25; step++ {
			fits = fits || a.at(t, step) == code
		}
		if !fits {
			return code
		}
	}
}

// unlock is what an administrator does for alice, or for others.
func (w *target) unlock(t testing.TB, names ...string) {
	t.Helper()
	if len(names) == 0 {
		names = []string{"alice"}
	}
	for _, name := range names {
		// As "secondgate mfa users unlock" asks; starting the program takes longer.
		res, err := http.Post("http://"+w.adminAddress()+"/mfa/users/unlock", "application/json", strings.NewReader(`{"name":"`+name+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("unlocking %s: %s", name, res.Status)
		}
	}
}

// AC-089, AC-107: wrong codes are counted, the wait grows, no restart forgets,
// and the right code in between is refused like any other.
func TestHostile_counter_AC089_AC107(t *testing.T) {
	w := attack(t)
	c, p := w.halfDone(t)
	for i := range 4 {
		if a := c.verifyTOTP(p, w.alice.App.wrong(t)); a.Status != http.StatusUnprocessableEntity {
			t.Fatalf("wrong code %d: %d %s", i+1, a.Status, a.Text())
		}
	}
	w.kill()
	w.launch(t)
	// The browser's connection is gone, its cookie is not.
	for i, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if a := c.verifyTOTP(p, w.alice.App.wrong(t)); a.Status != http.StatusUnprocessableEntity {
			t.Fatalf("AC-107 wrong code %d after kill -9: %d %s", i+5, a.Status, a.Text())
		}
		a := c.verifyTOTP(p, w.alice.App.Code(t))
		wait, _ := strconv.Atoi(a.Header.Get("Retry-After"))
		if a.Status != http.StatusTooManyRequests || wait <= 0 {
			t.Fatalf("AC-089 the right code after %d wrong ones: %d %s", i+5, a.Status, a.Text())
		}
		if left := want - time.Duration(wait)*time.Second; left < -time.Second || left > 20*time.Second {
			t.Errorf("AC-107 after %d wrong codes the wait is %d s, want about %s", i+5, wait, want)
		}
		w.advance(t, want+time.Second)
	}
	if a := c.verifyTOTP(p, w.alice.App.Code(t)); a.Status != http.StatusOK && !a.FromApp() {
		t.Errorf("after the wait the right code: %d %s", a.Status, a.Text())
	}
}

// AC-090, AC-098, AC-106, AC-110: a counter outlives the flow that it was made in,
// belongs to one account, and says nothing about what was wrong.
func TestHostile_counter_AC090_AC098_AC106_AC110(t *testing.T) {
	w := attack(t)
	t.Run("AC-090 a new sign-in for each guess", func(t *testing.T) {
		defer w.unlock(t)
		for range 5 {
			c, p := w.halfDone(t)
			c.verifyTOTP(p, w.alice.App.wrong(t))
		}
		c := w.stranger(t)
		p := c.signIn("alice") // which offers a backup code now
		r := c.formRequest("/.mfa/verify/totp", url.Values{"csrf": {p.CSRF()}, "code": {w.alice.App.Code(t)}})
		if a := c.once(r); a.Status != http.StatusTooManyRequests || c.cookie(c.sessionName()) != "" {
			t.Errorf("the right code after five wrong ones in five sign-ins: %d", a.Status)
		}
	})
	t.Run("AC-098 failures of others lock nobody out", func(t *testing.T) {
		for range 6 {
			c := w.stranger(t)
			p := c.get("/.mfa/link")
			for i := range 50 {
				c.submit(p, "/.mfa/link", "token", fmt.Sprintf("nothing%d", i))
			}
		}
		c, p := w.halfDone(t)
		if c.verifyTOTP(p, w.alice.App.Code(t)); c.cookie(c.sessionName()) == "" {
			t.Error("alice cannot sign in")
		}
	})
	t.Run("AC-110 a used code reads like a wrong one", func(t *testing.T) {
		code := w.alice.App.Code(t)
		c, p := w.halfDone(t)
		c.verifyTOTP(p, code)
		c, p = w.halfDone(t)
		used, wrong := c.verifyTOTP(p, code), c.verifyTOTP(p, w.alice.App.wrong(t))
		if used.Status != wrong.Status || used.Text() != wrong.Text() {
			t.Errorf("%d %q\n%d %q", used.Status, used.Text(), wrong.Status, wrong.Text())
		}
		c.verifyCode(p, w.alice.Backup[0])
		c, p = w.halfDone(t)
		used, wrong = c.verifyCode(p, w.alice.Backup[0]), c.verifyCode(p, "0000-0000-0000-0000")
		if used.Status != wrong.Status || used.Text() != wrong.Text() {
			t.Errorf("%d %q\n%d %q", used.Status, used.Text(), wrong.Status, wrong.Text())
		}
	})
	t.Run("AC-106 a code of somebody else", func(t *testing.T) {
		w.unlock(t)
		bob := w.stranger(t)
		bobs := bob.join(w.invite(t, "bob"), "bob")
		c, p := w.halfDone(t)
		c.verifyCode(p, bobs.Backup[0])
		c.verifyTOTP(p, bobs.App.Code(t))
		if c.cookie(c.sessionName()) != "" {
			t.Error("bob's code opened alice's account")
		}
	})
}

// AC-095: of many guesses at once no more are compared than the curve allows.
func TestHostile_parallel_guesses_AC095_AC101(t *testing.T) {
	w := attack(t)
	c, p := w.halfDone(t)
	line, csrf := c.line(), p.CSRF()
	body := "csrf=" + csrf + "&code=" + w.alice.App.wrong(t)
	var (
		wg              sync.WaitGroup
		mu              sync.Mutex
		compared, slow  int
		refused, others int
	)
	for i := range 100 {
		wg.Go(func() {
			way := w.wire
			way.from = network()
			send := way.h1
			if i%2 == 0 {
				send = way.h2
			}
			begun := time.Now()
			a := send(message{method: "POST", target: "/.mfa/verify/totp", body: body, header: [][2]string{
				{"Cookie", line}, {"Content-Type", "application/x-www-form-urlencoded"}, {"Sec-Fetch-Site", "same-origin"},
			}})
			mu.Lock()
			defer mu.Unlock()
			if time.Since(begun) > 8*time.Second {
				slow++
			}
			switch {
			case a.status == http.StatusUnprocessableEntity:
				compared++
			case a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != "":
				refused++
			default:
				others++
				t.Logf("%s", a)
			}
		})
	}
	wg.Wait()
	if compared != 5 || refused != 95 || others != 0 {
		t.Errorf("AC-095 %d guesses were compared, %d refused, %d something else; want 5, 95, 0", compared, refused, others)
	}
	if slow > 0 {
		t.Errorf("AC-101 %d answers came late: a refusal must not wait", slow)
	}
	// Exactly five were counted: the next one waits a minute.
	w.advance(t, 31*time.Second)
	c.verifyTOTP(p, w.alice.App.wrong(t))
	a := c.verifyTOTP(p, w.alice.App.wrong(t))
	if wait, _ := strconv.Atoi(a.Header.Get("Retry-After")); wait < 40 || wait > 60 {
		t.Errorf("AC-095 the wait is %d s, want a minute: the counter is not exact", wait)
	}
}

// AC-093, AC-096, AC-097, AC-099: passwords.
func TestHostile_passwords_AC093_AC096_AC097_AC099(t *testing.T) {
	w := attack(t)
	guess := func(t *testing.T, name, secret string) *answered {
		c := w.stranger(t)
		return c.submit(c.get("/.mfa/sign-in"), "/.mfa/sign-in", "name", name, "password", secret)
	}
	refused := func(t *testing.T) bool {
		t.Helper()
		a := guess(t, "alice", password)
		if a.Status == http.StatusUnprocessableEntity && (a.Header.Get("Retry-After") != "" || strings.Contains(a.Text(), "too many")) {
			t.Error("AC-114 the answer tells that the name exists")
		}
		return a.Status == http.StatusUnprocessableEntity
	}
	t.Run("AC-093 one counter for every spelling", func(t *testing.T) {
		for _, name := range []string{"alice", "ALICE", " alice ", "Alice", "aLICE  "} {
			guess(t, name, "wrong wrong wrong")
		}
		if !refused(t) {
			t.Error("five spellings of one name have counters of their own")
		}
	})
	t.Run("AC-213 what only looks like a name is another, that nobody has", func(t *testing.T) {
		w.unlock(t)
		for _, name := range []string{"ａｌｉｃｅ", "alice\u200b", "аlice", "alice.", "alice@app.example.test", "al\u00adice", "alice\x00", "{http.auth.user.id}"} {
			if a := guess(t, name, password); a.Status != http.StatusUnprocessableEntity {
				t.Errorf("%q: %d", name, a.Status)
			}
		}
	})
	t.Run("AC-097 the second factor was not touched, nor sessions", func(t *testing.T) {
		if a, h := w.reaches(w.h2, plainGet("/x").cookie(w.session)); h == nil {
			t.Errorf("the session: %s", a)
		}
		w.advance(t, 11*time.Minute)
		p := w.browser.get("/.mfa/verify?for=account&prove=totp")
		if a := w.browser.verifyTOTP(p, w.alice.App.Code(t)); a.Status != http.StatusOK {
			t.Errorf("a code: %d %s", a.Status, a.Text())
		}
	})
	w.unlock(t)
	t.Run("AC-099 the account's password form is no side door", func(t *testing.T) {
		// As a browser that nobody knows: a known one has ten tries of its own first,
		// at this form and at the sign-in page together.
		w.browser.setCookie(w.hostCookie()+"-known", "")
		for i := range 5 {
			p := w.browser.get("/.mfa/account/password")
			if a := w.browser.submit(p, "account/password", "old", "wrong wrong wrong", "password", "another good password 7"); a.Status != http.StatusUnprocessableEntity {
				t.Fatalf("guess %d: %d %s", i+1, a.Status, a.Text())
			}
		}
		if !refused(t) {
			t.Error("guesses in the account are not counted with those of the sign-in page")
		}
	})
	w.unlock(t)
	t.Run("AC-096 other names push no counter out", func(t *testing.T) {
		for range 4 {
			guess(t, "alice", "wrong wrong wrong")
		}
		for i := range 40 {
			guess(t, fmt.Sprintf("filler%d", i), "wrong wrong wrong")
		}
		w.restart(t)
		guess(t, "alice", "wrong wrong wrong")
		if !refused(t) {
			t.Error("the counter is lost")
		}
	})
	w.unlock(t)
	t.Run("AC-094 unknown names are counted, and answer alike", func(t *testing.T) {
		for range 6 {
			if a := guess(t, "nobody", "wrong wrong wrong"); a.Status != http.StatusUnprocessableEntity {
				t.Errorf("%d", a.Status)
			}
		}
		known, unknown := guess(t, "alice", "wrong wrong wrong"), guess(t, "nobody", "wrong wrong wrong")
		if known.Status != unknown.Status || strings.ReplaceAll(known.Text(), "alice", "") != strings.ReplaceAll(unknown.Text(), "nobody", "") {
			t.Errorf("AC-114 %d %q\n%d %q", known.Status, known.Text(), unknown.Status, unknown.Text())
		}
	})
}

// AC-103, AC-109, AC-113: one code works once, however it is written, and only
// near its time, and never after a later one.
func TestHostile_codes_AC103_AC109_AC113(t *testing.T) {
	w := attack(t)
	try := func(t *testing.T, code string) bool {
		t.Helper()
		w.unlock(t)
		c, p := w.halfDone(t)
		c.verifyTOTP(p, code)
		return c.cookie(c.sessionName()) != ""
	}
	now := func() int64 { return w.now().Unix() / 30 }
	t.Run("AC-113 the code that confirmed the set-up", func(t *testing.T) {
		if try(t, w.alice.App.at(t, w.alice.App.last)) {
			t.Error("it signs in as well")
		}
	})
	t.Run("AC-109 the window", func(t *testing.T) {
		w.advance(t, 10*time.Minute)
		for _, off := range []int64{-2, 2, -3, 3, -100, 100} {
			if try(t, w.alice.App.at(t, now()+off)) {
				t.Errorf("a code %d steps away was accepted", off)
			}
		}
		if !try(t, w.alice.App.at(t, now()-1)) {
			t.Error("the code before was refused")
		}
		if !try(t, w.alice.App.at(t, now()+1)) {
			t.Error("the code after was refused")
		}
		for _, off := range []int64{1, 0, -1} {
			if try(t, w.alice.App.at(t, now()+off)) {
				t.Errorf("after a later code, one %d steps away was accepted", off)
			}
		}
	})
	t.Run("AC-103 a used code in other clothes", func(t *testing.T) {
		w.advance(t, 5*time.Minute)
		code := w.alice.App.at(t, now())
		if !try(t, code) {
			t.Fatal("the code itself was refused")
		}
		wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
		for _, text := range []string{
			code, " " + code, code + "\t", "\u00a0" + code, code[:3] + " " + code[3:], code[:3] + "-" + code[3:], wide, "0" + code, "+" + code, code + "\n",
			code + "\x00", "\ufeff" + code, code + "\u200b", code + ".0", "0x" + code, code + "," + code,
		} {
			if try(t, text) {
				t.Errorf("%q was accepted", text)
			}
		}
	})
	t.Run("AC-103 a fresh code that is no six digits", func(t *testing.T) {
		for _, dress := range []func(string) string{
			func(c string) string { return "0" + c }, func(c string) string { return "+" + c }, func(c string) string { return c + ".0" },
			func(c string) string { return c[:5] }, func(c string) string { return c + c }, func(c string) string { return "[\"" + c + "\"]" },
			func(c string) string { return strings.Map(func(r rune) rune { return r - '0' + '０' }, c) },
			func(c string) string { return strings.Map(func(r rune) rune { return r - '0' + '٠' }, c) },
		} {
			w.advance(t, time.Minute)
			if text := dress(w.alice.App.at(t, now())); try(t, text) {
				t.Errorf("%q was accepted", text)
			}
		}
	})
	t.Run("AC-103 a code in another place", func(t *testing.T) {
		w.advance(t, time.Minute)
		w.unlock(t)
		c, p := w.halfDone(t)
		code := w.alice.App.at(t, now())
		r := c.fill(p, "verify/totp", "code", "")
		r.URL.RawQuery += "&code=" + code
		if c.once(r); c.cookie(c.sessionName()) != "" {
			t.Error("a code in the address was accepted")
		}
		if a := c.postJSON("/.mfa/verify/totp", p.CSRF(), map[string]any{"code": code}, nil); c.cookie(c.sessionName()) != "" {
			t.Errorf("a code as JSON was accepted: %d", a.Status)
		}
	})
}

// AC-102, AC-104: of 64 who send one code at once, one gets a session.
func TestHostile_races_AC102_AC104(t *testing.T) {
	w := attack(t)
	race := func(t *testing.T, method string, code func() string) {
		var line, csrf []string
		for range 4 {
			c := w.stranger(t)
			p := c.signIn("alice")
			line, csrf = append(line, c.line()), append(csrf, p.CSRF())
		}
		w.unlock(t)
		body := code()
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			doors int
		)
		for i := range 64 {
			wg.Go(func() {
				way := w.wire
				way.from = network()
				send := []func(message) answer{way.h1, way.h2}[i%2]
				a := send(message{method: "POST", target: "/.mfa/verify/" + method, body: "csrf=" + csrf[i%4] + "&code=" + body, header: [][2]string{
					{"Cookie", line[i%4]}, {"Content-Type", "application/x-www-form-urlencoded"}, {"Sec-Fetch-Site", "same-origin"},
				}})
				for _, set := range a.header["Set-Cookie"] {
					if strings.HasPrefix(set, w.hostCookie()+"=") && !strings.HasPrefix(set, w.hostCookie()+"=;") {
						mu.Lock()
						doors++
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		if doors != 1 {
			t.Errorf("%d sessions for one code", doors)
		}
	}
	for round := range 3 {
		t.Run(fmt.Sprintf("AC-102 authenticator app, round %d", round), func(t *testing.T) {
			race(t, "totp", func() string { return w.alice.App.Code(t) })
		})
	}
	for round := range 3 {
		t.Run(fmt.Sprintf("AC-104 backup code, round %d", round), func(t *testing.T) {
			race(t, "backup-code", func() string { return w.alice.Backup[round] })
			if list := w.mfa(t, "users", "show", "alice"); !strings.Contains(list, strconv.Itoa(9-round)) {
				t.Errorf("the count of codes left is not %d:\n%s", 9-round, list)
			}
		})
	}
	t.Run("AC-104 a used code is used", func(t *testing.T) {
		w.unlock(t)
		for i := range 3 {
			c := w.stranger(t)
			c.verifyCode(c.signIn("alice"), w.alice.Backup[i])
			if c.cookie(c.sessionName()) != "" {
				t.Errorf("code %d worked again", i)
			}
		}
	})
}

// AC-108: what expires is refused from the first second on, no cleaner needed,
// and what was used stays used when the clock goes back.
func TestHostile_expiry_AC108(t *testing.T) {
	w := attack(t)
	reaches := func(c *client) bool { return c.get("/").FromApp() }
	open := func(t *testing.T, link string) *answered {
		t.Helper()
		c := w.stranger(t)
		_, token, _ := strings.Cut(link, "#")
		return c.submit(c.get("/.mfa/link"), "/.mfa/link", "token", token)
	}
	t.Run("AC-108 set-up link, one hour", func(t *testing.T) {
		link := findLink(t, w.mfa(t, "setup-link"))
		w.advance(t, time.Hour-2*time.Second)
		if a := open(t, link); a.Status != http.StatusOK {
			t.Errorf("before its end: %d", a.Status)
		}
		w.advance(t, 3*time.Second)
		if a := open(t, link); a.Status != http.StatusGone {
			t.Errorf("one second after: %d", a.Status)
		}
	})
	t.Run("AC-108 invitation, one day; used, and the clock back", func(t *testing.T) {
		late := w.invite(t, "late")
		w.advance(t, 24*time.Hour+time.Second)
		if a := open(t, late); a.Status != http.StatusGone {
			t.Errorf("one second after: %d", a.Status)
		}
		link := w.invite(t, "bob")
		c := w.stranger(t)
		c.join(link, "bob")
		w.advance(t, -time.Hour)
		if a := open(t, link); a.Status != http.StatusGone {
			t.Errorf("used, and the clock set back: %d", a.Status)
		}
		w.advance(t, time.Hour)
		if a := open(t, link); a.Status != http.StatusGone {
			t.Errorf("used, and the clock forth again: %d", a.Status)
		}
	})
	t.Run("AC-108 half-done sign-in, ten minutes", func(t *testing.T) {
		c, p := w.halfDone(t)
		w.advance(t, 10*time.Minute+time.Second)
		if c.verifyTOTP(p, w.alice.App.Code(t)); reaches(c) {
			t.Error("it was finished after its end")
		}
		w.advance(t, -time.Hour)
		if c.verifyTOTP(p, w.alice.App.at(t, w.now().Unix()/30)); reaches(c) {
			t.Error("an older code was accepted after the clock went back (AC-109)")
		}
		w.advance(t, time.Hour)
	})
	t.Run("AC-108 a code when the clock goes back", func(t *testing.T) {
		c, p := w.halfDone(t)
		code := w.alice.App.Code(t)
		c.verifyTOTP(p, code)
		if !reaches(c) {
			t.Fatal("the code was refused")
		}
		for _, back := range []time.Duration{-30 * time.Second, -30 * time.Second, -time.Hour} {
			w.advance(t, back)
			for _, again := range []string{code, w.alice.App.at(t, w.now().Unix()/30)} {
				w.unlock(t)
				other := w.stranger(t)
				if other.verifyTOTP(other.signIn("alice"), again); reaches(other) {
					t.Errorf("a code worked again after the clock went back by %s", back)
				}
			}
		}
		w.advance(t, time.Hour+time.Minute)
	})
	t.Run("AC-031 idle and absolute end of a session", func(t *testing.T) {
		w.unlock(t)
		w.advance(t, time.Minute)
		c := w.stranger(t)
		c.enter(w.alice)
		line := c.only(c.sessionName())
		w.advance(t, time.Hour+2*time.Minute)
		if fault := denied(w.reaches(w.h2, plainGet("/x").cookie(line))); fault != "" {
			t.Errorf("idle: %s", fault)
		}
		w.unlock(t)
		c = w.stranger(t)
		c.enter(w.alice)
		line = c.only(c.sessionName())
		for i := range 14 {
			a, h := w.reaches(w.h2, plainGet("/x").cookie(line))
			if (h != nil) != (i < 12) {
				t.Errorf("after %d times 59 minutes: %s", i, a)
			}
			w.advance(t, 59*time.Minute+30*time.Second)
			if i == 11 {
				w.advance(t, 10*time.Minute)
			}
		}
	})
}

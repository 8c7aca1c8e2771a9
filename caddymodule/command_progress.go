package caddymodule

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress shows people how far something is: with a bar on a terminal, with a line now and
// then elsewhere. Programs are shown nothing.
type progress struct {
	w        io.Writer // nil: it shows nothing
	terminal bool
	every    time.Duration
	told     time.Time
	stage    string
	open     bool // a line of the terminal that is not ended
}

// newProgress shows on w, standard error, how what begins with that stage goes on.
func (f *flags) newProgress(w io.Writer, stage string) *progress {
	p := &progress{w: w, stage: stage, every: 10 * time.Second, told: time.Now()}
	if f.json {
		p.w = nil
	}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.terminal, p.every, p.told = true, 200*time.Millisecond, time.Time{}
	}
	return p
}

// show says text, and how large a part is done; negative: that is not known. It may be called
// as often as there is news: what is shown at once is another stage.
func (p *progress) show(stage, text string, part float64) {
	if p.w == nil || stage == p.stage && time.Since(p.told) < p.every {
		return
	}
	p.stage, p.told = stage, time.Now()
	if !p.terminal {
		fmt.Fprintln(p.w, text)
		return
	}
	if part >= 0 {
		const width = 24
		full := int(min(part, 1) * width)
		text += "  [" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "]"
	}
	fmt.Fprint(p.w, "\r\x1b[K", text)
	p.open = true
}

// done ends it. On a terminal nothing is left of it but last, or where that is "" what was
// shown last.
func (p *progress) done(last string) {
	switch {
	case p.w == nil, !p.terminal:
		return
	case last != "":
		fmt.Fprintf(p.w, "\r\x1b[K%s\n", last)
	case p.open:
		fmt.Fprintln(p.w)
	}
	p.open = false
}

// counting is the progress of what counts rows.
type counting struct {
	*progress
	what  string
	begun time.Time
	rows  int64
}

func (f *flags) newCounting(w io.Writer, what string) *counting {
	return &counting{progress: f.newProgress(w, what), what: what, begun: time.Now()}
}

// at is told how far it is.
func (c *counting) at(now copyProgress) {
	c.rows = now.Rows
	text, part := fmt.Sprintf("%s: %s rows", c.what, thousands(now.Rows)), -1.0
	if now.Of > 0 {
		// What is counted beforehand are users and events: there are some more.
		part = min(float64(now.Rows)/float64(now.Of), 1)
		text = fmt.Sprintf("%s of about %s (%d %%)", text, thousands(now.Of), int(100*part))
	}
	c.show(c.what, text, part)
}

func (c *counting) done() {
	last := ""
	if c.rows > 0 {
		last = fmt.Sprintf("%s: %s rows in %s", c.what, thousands(c.rows), time.Since(c.begun).Round(100*time.Millisecond))
	}
	c.progress.done(last)
}

// thousands writes a number with commas.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

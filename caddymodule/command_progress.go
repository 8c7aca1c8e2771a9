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

// progressBar shows how far a copy is: as a bar on a terminal, elsewhere as a line now and
// then.
type progressBar struct {
	w        io.Writer // nil: it shows nothing
	what     string
	terminal bool
	every    time.Duration
	begun    time.Time
	told     time.Time
	last     copyProgress
}

// newProgress shows on standard error what is being done; programs are told nothing.
func (f *flags) newProgress(w io.Writer, what string) *progressBar {
	p := &progressBar{w: w, what: what, every: 10 * time.Second, begun: time.Now(), told: time.Now()}
	if f.json {
		p.w = nil
	}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.terminal, p.every, p.told = true, 200*time.Millisecond, time.Time{}
	}
	return p
}

// at is told how far it is.
func (p *progressBar) at(now copyProgress) {
	p.last = now
	if p.w == nil || time.Since(p.told) < p.every {
		return
	}
	p.told = time.Now()
	p.show(now)
}

func (p *progressBar) show(now copyProgress) {
	line := fmt.Sprintf("%s: %s rows", p.what, thousands(now.Rows))
	if now.Of > 0 {
		// What is counted beforehand are users and events: there are some more.
		part := min(float64(now.Rows)/float64(now.Of), 1)
		line = fmt.Sprintf("%s of about %s (%d %%)", line, thousands(now.Of), int(100*part))
		if p.terminal {
			const width = 24
			full := int(part * width)
			line += "  [" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "]"
		}
	}
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(p.w, line)
}

// done ends it: on a terminal nothing is left of it but the last line.
func (p *progressBar) done() {
	if p.w == nil || p.last.Rows == 0 {
		return
	}
	if !p.terminal {
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s: %s rows in %s\n", p.what, thousands(p.last.Rows), time.Since(p.begun).Round(100*time.Millisecond))
}

// thousands writes a number with commas.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

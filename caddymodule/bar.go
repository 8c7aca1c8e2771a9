package caddymodule

import (
	"fmt"
	"io"
	"strings"
)

// bar shows on a terminal how far something is; elsewhere it shows nothing.
type bar struct {
	w     io.Writer
	total int
	shown bool
}

func newBar(w io.Writer, total int, terminal bool) *bar {
	if !terminal || total == 0 {
		return &bar{}
	}
	return &bar{w: w, total: total}
}

const barWidth = 40

// at shows that n of the total are done.
func (b *bar) at(n int) {
	if b.w == nil {
		return
	}
	full := min(barWidth*n/b.total, barWidth)
	fmt.Fprintf(b.w, "\r[%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), n, b.total)
	b.shown = true
}

// done ends the line of the bar.
func (b *bar) done() {
	if b.shown {
		fmt.Fprintln(b.w)
	}
}

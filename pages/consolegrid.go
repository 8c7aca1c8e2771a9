package pages

import "time"

// grid is a table of the console. On a narrow page each row becomes a block.
type grid struct {
	ID      string
	Caption string // what it is a table of, for who cannot see it
	Columns []string
	Rows    []gridRow
	// Empty says what to do where there is nothing.
	Empty string
	// Next and First are the addresses of the next page and of the first, "" where this
	// is the last, or the first.
	Next, First string
}

type gridRow struct{ Cells []cell }

// cell is one field of a row. Actions stand in the last one.
type cell struct {
	Text    string
	Href    string
	Sub     string // in a second line
	Mono    bool
	Tags    []tag
	At      string // the time that Text says in words, for programs and as a hint
	Actions []rowAction
}

// tag is a word with a colour: "good", "bad" or "".
type tag struct{ Text, Tone string }

// rowAction is a link of a row. Name says it with what it is about, for who hears it.
type rowAction struct {
	Label, Name, Href string
	Danger            bool
}

// Label is the heading of a cell's column, for pages that are too narrow for columns.
func (g grid) Label(i int) string {
	if i < len(g.Columns) {
		return g.Columns[i]
	}
	return ""
}

// pageSize is how many rows a page of a list has.
const pageSize = 25

// pages sets the addresses to go on with.
func (g *grid) pages(c *console, page, after, next string, pairs ...string) {
	if next != "" {
		g.Next = c.link(page, append(pairs[:len(pairs):len(pairs)], paramAfter, next)...)
	}
	if after != "" {
		g.First = c.link(page, pairs...)
	}
}

// when is a cell with a time in words. never stands where there was none.
func (v *visit) when(t time.Time, never string) cell {
	if t.IsZero() {
		return cell{Text: never}
	}
	return cell{Text: v.since(t), At: stamp(t)}
}

// exactly is a cell with a time to the minute.
func (v *visit) exactly(t time.Time) cell { return cell{Text: v.moment(t), At: stamp(t)} }

// stamp writes a time for programs.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// rowAction is a link of a row, about what is called name.
func (v *visit) rowAction(label, name, href string, danger bool) rowAction {
	return rowAction{label, v.T("console.about", "action", label, "name", name), href, danger}
}

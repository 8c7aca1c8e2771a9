package faultproxy

import "bytes"

// trap waits for a word.
type trap struct {
	word []byte
	kind int
}

// What a trap is for.
const (
	loseRequest = iota // it does not arrive
	loseAnswer         // it arrives, and what the server says next is lost
	loseReply          // the word is the server's, and is lost
)

// LoseAnswer lets the next request with that word, in whatever case, reach the server, waits
// until the server has answered, and resets the line before the answer is through: what was
// asked for has happened, and whoever asked cannot know. Twice for the next two.
func (p *Proxy) LoseAnswer(word string) { p.trap(bytes.ToLower([]byte(word)), loseAnswer) }

// LoseRequest resets the line when the next request with that word, in whatever case, is on
// its way, before it reaches the server: to whoever asked it looks like LoseAnswer.
func (p *Proxy) LoseRequest(word string) { p.trap(bytes.ToLower([]byte(word)), loseRequest) }

// LoseReply resets the line when the server says that word, before it is through. "COMMIT" is
// what PostgreSQL says of each transaction that it has kept, however the client asked.
func (p *Proxy) LoseReply(word string) { p.trap([]byte(word), loseReply) }

// Lost returns how many requests and answers were lost so.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

func (p *Proxy) trap(word []byte, kind int) {
	p.set(func() { p.traps = append(p.traps, &trap{word, kind}) })
}

// trapped reports whether these bytes must not arrive, and resets the line then.
func (l *line) trapped(d Direction, b []byte) bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if d == ToClient && l.owed {
		return l.lose()
	}
	if len(l.p.traps) == 0 || l.owed {
		return false
	}
	t := l.p.traps[0]
	if (d == ToClient) != (t.kind == loseReply) || !l.sees(d, b, t) {
		return false
	}
	l.p.traps = l.p.traps[1:]
	if t.kind == loseAnswer {
		l.owed = true
		return false
	}
	return l.lose()
}

// lose resets the line. The caller holds the proxy's mutex.
func (l *line) lose() bool {
	l.p.lost++
	l.reset()
	return true
}

// sees reports whether the word is in the bytes, or ends in them: it may come in pieces.
func (l *line) sees(d Direction, b []byte, t *trap) bool {
	if t.kind != loseReply {
		b = bytes.ToLower(b)
	}
	text := append(l.seen[d], b...)
	l.seen[d] = bytes.Clone(text[max(0, len(text)-len(t.word)+1):])
	return bytes.Contains(text, t.word)
}

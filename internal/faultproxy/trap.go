package faultproxy

import "bytes"

// trap waits for a word on its way to the server.
type trap struct {
	word   []byte
	answer bool // the request arrives, and its answer is lost; false: it does not arrive
}

// LoseAnswer lets the next request with that word, in whatever case, reach the server, waits
// until the server has answered, and resets the line before the answer is through: what was
// asked for has happened, and whoever asked cannot know. Twice for the next two.
func (p *Proxy) LoseAnswer(word string) { p.trap(word, true) }

// LoseRequest resets the line when the next request with that word, in whatever case, is on
// its way, before it reaches the server: to whoever asked it looks like LoseAnswer.
func (p *Proxy) LoseRequest(word string) { p.trap(word, false) }

// Lost returns how many requests and answers were lost so.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

func (p *Proxy) trap(word string, answer bool) {
	p.set(func() { p.traps = append(p.traps, &trap{bytes.ToLower([]byte(word)), answer}) })
}

// trapped reports whether these bytes must not arrive, and resets the line then.
func (l *line) trapped(d Direction, b []byte) bool {
	p := l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if d == ToClient {
		if l.owed {
			p.lost++
			l.reset()
		}
		return l.owed
	}
	if len(p.traps) == 0 || l.owed {
		l.seen = nil
		return false
	}
	t := p.traps[0]
	// A word may come in two pieces.
	text := append(l.seen, bytes.ToLower(b)...)
	if !bytes.Contains(text, t.word) {
		l.seen = bytes.Clone(text[max(0, len(text)-len(t.word)+1):])
		return false
	}
	l.seen, p.traps = nil, p.traps[1:]
	if t.answer {
		l.owed = true
		return false
	}
	p.lost++
	l.reset()
	return true
}

package caddymodule

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A running gateway sends a backup in parts: each is its kind, its length (4 bytes,
// big-endian) and as many bytes. So the one who receives it learns how far it is, what
// went wrong, and that the end is the end and no broken line.
const (
	partData     = 'd' // of the file
	partProgress = 'p' // copyProgress
	partError    = 'e' // {"error": …}, and nothing more
	partEnd      = 'z' // backupInfo, and nothing more
)

const (
	backupType = "application/vnd.secondgate.backup"
	// maxBackupPart is the most that a part weighs.
	maxBackupPart = 1 << 20
	// sendTime is how long one part may take: who has gone without a word must not keep
	// the gateway from ending.
	sendTime = time.Minute
	// tellEvery is how often it is said how far a copy is.
	tellEvery = 500 * time.Millisecond
)

// serveBackup answers a request of the admin endpoint with a backup. Where it returns an
// error, nothing was answered.
func serveBackup(w http.ResponseWriter, r *http.Request, d desk) error {
	out := &partWriter{w: w, control: http.NewResponseController(w)}
	info, err := d.backup(r.Context(), out, out.progress)
	switch {
	case err != nil && !out.begun:
		return err
	case err != nil:
		_ = out.send(partError, map[string]string{"error": err.Error()})
	default:
		_ = out.send(partEnd, info)
	}
	return nil // it began with 200; the last part says how it ended
}

// partWriter writes parts.
type partWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
	told    time.Time
}

// Write sends a part of the file.
func (p *partWriter) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), maxBackupPart)
		if err := p.part(partData, rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

func (p *partWriter) progress(at copyProgress) {
	if time.Since(p.told) >= tellEvery {
		p.told = time.Now()
		_ = p.send(partProgress, at) // where the line is broken, the next data says so
	}
}

func (p *partWriter) send(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := p.part(kind, text); err != nil {
		return err
	}
	return p.control.Flush()
}

func (p *partWriter) part(kind byte, b []byte) error {
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", backupType)
		p.w.Header().Set("Cache-Control", "no-store")
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(sendTime))
	if _, err := p.w.Write(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b)))); err != nil { //nolint:gosec // bounded
		return err
	}
	_, err := p.w.Write(b)
	return err
}

func stopped(err error) error {
	return fmt.Errorf("the gateway stopped in the middle of it, so there is no backup; make it again (%w)", err)
}

// readBackup reads the parts, and writes those of the file to out.
func readBackup(in io.Reader, out io.Writer, tell func(copyProgress)) (*backupInfo, error) {
	for {
		var head [5]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return nil, stopped(err)
		}
		size := binary.BigEndian.Uint32(head[1:])
		if size > maxBackupPart {
			return nil, errors.New("what answers at the admin endpoint sends no backup")
		}
		if head[0] == partData {
			if _, err := io.CopyN(out, in, int64(size)); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, stopped(err)
			} else if err != nil {
				return nil, fmt.Errorf("receiving the backup: %w", err)
			}
			continue
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(in, text); err != nil {
			return nil, stopped(err)
		}
		var err error
		switch head[0] {
		case partProgress:
			var at copyProgress
			if err = json.Unmarshal(text, &at); err == nil {
				tell(at)
			}
		case partEnd:
			info := new(backupInfo)
			if err = json.Unmarshal(text, info); err == nil {
				return info, nil
			}
		case partError:
			var problem struct{ Error string }
			if err = json.Unmarshal(text, &problem); err == nil {
				return nil, errors.New(problem.Error)
			}
		default:
			err = errors.New("a part of an unknown kind")
		}
		if err != nil {
			return nil, fmt.Errorf("reading the gateway's answer: %w", err)
		}
	}
}

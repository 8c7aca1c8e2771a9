// Package faultproxy stands between a gateway and what it depends on, and breaks the line
// in the ways in which networks break: refused, reset, silent, slow, and reset between a
// commit and the answer to it. It is for tests. Whether what went through was right is
// for the test to say.
//
//	p := faultproxy.Start(t, "127.0.0.1:5432")
//	… the gateway is told to connect to p.Addr …
//	p.Silence(faultproxy.Both)  // the line is cut off, and nobody is told
//	p.Heal()
//	p.LoseReply("COMMIT")       // the next commit happens, and nobody hears of it
package faultproxy

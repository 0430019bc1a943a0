package token

import "bytes"

// trie finds the longest piece that begins a string. Node 0 is the root.
type trie struct {
	nodes []node
}

type node struct {
	id   int32   // of the piece that ends here, 0 if none: id 0 is special and never inserted
	keys []byte  // the bytes that lead on
	next []int32 // where to
}

func (t *trie) insert(piece string, id int32) {
	if len(t.nodes) == 0 {
		t.nodes = append(t.nodes, node{})
	}
	at := int32(0)
	for i := range len(piece) {
		j := bytes.IndexByte(t.nodes[at].keys, piece[i])
		if j < 0 {
			j = len(t.nodes[at].keys)
			t.nodes[at].keys = append(t.nodes[at].keys, piece[i])
			t.nodes[at].next = append(t.nodes[at].next, int32(len(t.nodes)))
			t.nodes = append(t.nodes, node{})
		}
		at = t.nodes[at].next[j]
	}
	t.nodes[at].id = id
}

// longest gives the id and length of the longest piece that begins s, which
// isn't empty. There is one as every byte is a piece.
func (t *trie) longest(s string) (id int32, n int) {
	at := &t.nodes[0]
	for i := range len(s) {
		j := bytes.IndexByte(at.keys, s[i])
		if j < 0 {
			break
		}
		at = &t.nodes[at.next[j]]
		if at.id != 0 {
			id, n = at.id, i+1
		}
	}
	return id, n
}

package tensor

// gemmTwin is the definition of a product. Its loops over j are innermost where
// the rows of b are contiguous; the chain of each element is over k either way.
func gemmTwin(c, a, b Mat, acc bool) {
	for i := range c.Rows {
		row := c.Data[i*c.Stride : i*c.Stride+c.Cols]
		if !acc {
			clear(row)
		}
		if b.Trans {
			for j := range row {
				s := row[j]
				for k := range a.Cols {
					s = fma(a.at(i, k), b.Data[j*b.Stride+k], s)
				}
				row[j] = s
			}
			continue
		}
		for k := range a.Cols {
			v, bk := a.at(i, k), b.Data[k*b.Stride:]
			for j := range row {
				row[j] = fma(v, bk[j], row[j])
			}
		}
	}
}

// lanes are the sixteen partial sums of a row reduction.
type lanes [16]float32

func (l *lanes) fold() float32 {
	for w := 8; w >= 1; w /= 2 {
		for i := range w {
			l[i] += l[i+w]
		}
	}
	return l[0]
}

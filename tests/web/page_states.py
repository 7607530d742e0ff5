"""What puts the page into a state: an answer with every kind of block, blocked storage."""

RICH_ANSWER = """<think>Hm.</think>## A heading

Some `code` and a [link](https://example.org), then $x^2$.

```python
def very_long_name_of_a_function(argument_one, argument_two, argument_three, argument_four):
    return "text"  # comment
```

| Name | Value |
|------|------:|
| a very long name that needs its room | 1,000,000,000,000,000,000,000,000,000 |

> A quotation

1. One
2. Two
"""

# Firefox throws this for all of them where the user blocks cookies and site data.
BLOCK_STORAGE = """
for (const name of ["indexedDB", "localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, {
    get() { throw new DOMException("The operation is insecure.", "SecurityError"); },
  });
}
window.BroadcastChannel = class {
  constructor() { throw new DOMException("The operation is insecure.", "SecurityError"); }
};
"""

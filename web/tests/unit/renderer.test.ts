// HTML from markdown: what a model writes can neither load nor run nor dress up anything.
import assert from "node:assert/strict";
import {test} from "node:test";
import {lex, tokensToHtml} from "../../src/markdown/renderer";

const html = (text: string): string => tokensToHtml([...lex(text)]);

test("raw tags and attributes are text, a few plain tags aside", () => {
    assert.equal(html("a<br>b H<sub>2</sub>O").trim(), "<p>a<br>b H<sub>2</sub>O</p>");
    for (const evil of ["<script>alert(1)</script>", '<img src=x onerror="alert(1)">', '<b class="shell">x</b>', '<p style="color:red">x</p>', "<iframe src=//x></iframe>", "<style>*{}</style>"]) {
        assert.doesNotMatch(html(evil), /<(?:script|img|iframe|style)|<[a-z]+ [a-z]/i, evil);
        assert.doesNotMatch(html(`text ${evil}`), /<(?:script|img|iframe|style)|<[a-z]+ [a-z]/i, evil);
    }
});

test("links lead outside only by http and mail", () => {
    assert.match(html("[x](https://example.org/?a=1&b=2)"), /^<p><a href="https:\/\/example.org\/\?a=1&#38;(?:amp;)?b=2" target="_blank" rel="noopener noreferrer nofollow">x<\/a>/);
    for (const address of ["javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "vbscript:x", "//example.org", "/api/hearth/v1/keys"]) {
        assert.doesNotMatch(html(`[x](${address})`), /<a/, address);
        assert.doesNotMatch(html(`<${address}>`), /<a/, address);
    }
    assert.doesNotMatch(html('[x](https://e.org "a\\" onclick=alert(1) \\"")'), /" onclick/);
});

test("pictures are links, nothing is loaded", () => {
    const out = html("![a cat](https://example.org/cat.png)");
    assert.match(out, /<a href="https:\/\/example.org\/cat.png"/);
    assert.doesNotMatch(out, /<img/);
});

test("code is escaped and names its language safely", () => {
    assert.match(html('```js" onload="x\n<b>&\n```'), /<code class="language-js">&#60;b&#62;&#38;\n<\/code>/);
});

test("formulas are kept as they were written", () => {
    assert.match(html("so $a_1 * b_2 * c$ is"), /<span class="math">a_1 \* b_2 \* c<\/span>/);
    assert.match(html("$$\na < b\n\n> c\n$$"), /<div class="math" data-display="true">a &#60; b\n\n&#62; c<\/div>/);
    assert.match(html("so \\(x^2\\) and \\[y\\]"), /<span class="math">x\^2<\/span> and <span class="math" data-display="true">y<\/span>/);
});

test("money is no formula", () => {
    assert.doesNotMatch(html("it costs $5 or $6, or 7 $ and 8 $"), /math/);
    assert.doesNotMatch(html("`$x$` is code"), /math/);
});

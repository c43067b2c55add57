// From markdown tokens to HTML text. What comes out holds no attribute and no tag that the text
// itself chose, except a few plain tags; render.ts passes it through DOMPurify all the same.
import {Marked, Renderer, type Token, type Tokens, type TokensList} from "marked";
import {mathRules} from "./math_rules";

const PLAIN_TAGS = "br|sub|sup|kbd|b|i|u|em|strong|mark|small|del|ins|details|summary|p|ul|ol|li|hr";

export function escapeHtml(text: string): string {
    return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const escaped = new RegExp(`&#60;(/?)(${PLAIN_TAGS})\\s*/?&#62;`, "gi");
const withPlainTags = (html: string): string => escapeHtml(html).replace(escaped, "<$1$2>");

function safeAddress(address: string): string | null {
    return /^(?:https?:\/\/|mailto:)/i.test(address) ? address : null;
}

function outsideLink(address: string, title: string | null | undefined, inner: string): string {
    const safe = safeAddress(address);
    if (safe === null) return inner;
    const hint = title ? ` title="${escapeHtml(title)}"` : "";
    return `<a href="${escapeHtml(safe)}"${hint} target="_blank" rel="noopener noreferrer nofollow">${inner}</a>`;
}

class PageRenderer extends Renderer {
    override html(token: Tokens.HTML | Tokens.Tag): string {
        return withPlainTags(token.text);
    }

    override link(token: Tokens.Link): string {
        return outsideLink(token.href, token.title, this.parser.parseInline(token.tokens));
    }

    // Pictures of other origins are never loaded: the address is a link.
    override image(token: Tokens.Image): string {
        return outsideLink(token.href, token.title, escapeHtml(token.text || token.href));
    }

    override checkbox({checked}: Tokens.Checkbox): string {
        return checked ? "☑ " : "☐ ";
    }

    override table(token: Tokens.Table): string {
        return `<div class="table-scroll" tabindex="0">${super.table(token)}</div>`;
    }

    override code({text, lang}: Tokens.Code): string {
        const name = languageOf(lang);
        return `<pre tabindex="0"><code${name ? ` class="language-${escapeHtml(name)}"` : ""}>${escapeHtml(text)}\n</code></pre>`;
    }
}

// The first word of what follows the opening fence.
export function languageOf(info: string | undefined): string {
    return /^[\w+#.-]{1,32}/.exec(info ?? "")?.[0] ?? "";
}

const marked = new Marked({gfm: true}, mathRules, {
    extensions: ["math", "mathBlock"].map((name) => ({
        name,
        renderer: (token: Tokens.Generic) => {
            const display = token["display"] === true;
            const tag = name === "mathBlock" ? "div" : "span";
            return `<${tag} class="math"${display ? ' data-display="true"' : ""}>${escapeHtml(String(token["text"]).trim())}</${tag}>`;
        },
    })),
});

// Not through the constructor, which would take over own properties only, not a class's methods.
marked.setOptions({renderer: new PageRenderer()});

export const lex = (source: string): TokensList => marked.lexer(source);

export const tokensToHtml = (tokens: Token[]): string => marked.parser(tokens);

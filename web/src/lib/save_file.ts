// Hands a text to the browser as a file to keep.
export function saveFile(name: string, text: string, type = "application/json"): void {
    const address = URL.createObjectURL(new Blob([text], {type}));
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// A title as the name of a file on every system.
export function fileName(title: string, ending: string): string {
    const plain = title.replace(/[^\p{L}\p{N}._ -]+/gu, " ").replace(/\s+/g, " ").trim().slice(0, 60);
    return `${plain || "hearth"}.${ending}`;
}

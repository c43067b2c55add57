// A model's name without who published it: "Llama-3.2-1B-Instruct:Q4_K_M".
export const shortName = (name: string): string => name.replace(/^.*\/(?=.)/, "");

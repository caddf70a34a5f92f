#include "chem/rdkit.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include <GraphMol/FileParsers/FileParsers.h>
#include <GraphMol/MolOps.h>
#include <GraphMol/RWMol.h>
#include <GraphMol/SanitException.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>
#include <GraphMol/Substruct/SubstructMatch.h>

namespace
{

using RDKit::ROMol;
using RDKit::RWMol;

const char *const place = "_bfncl_place";

/* Room for n things, freed by bf_rdkit_free. */
template <typename T> T *room_for(size_t n)
{
    T *p = static_cast<T *>(std::calloc(n > 0 ? n : 1, sizeof(T)));
    if (p == nullptr) throw std::bad_alloc();
    return p;
}

char *copy_of(const std::string &s)
{
    char *p = room_for<char>(s.size() + 1);
    std::memcpy(p, s.c_str(), s.size() + 1);
    return p;
}

/* An aromatic ring of `size` atoms, each in no smaller ring unless it is in several. The size is asked for because a
 * walk around fused rings is no ring: these are the aromatic features of RDKit's BaseFeatures.fdef. */
std::unique_ptr<ROMol> ring_pattern(int size)
{
    std::string atom = "[a;r" + std::to_string(size) + ",!R1";
    for (int k = size - 1; k >= 3; k--) atom += "&r" + std::to_string(k) + (k > 3 ? ",!R1" : "");
    atom += "]";
    std::string ring = atom + "1";
    for (int k = 1; k < size; k++) ring += ":" + atom;
    return std::unique_ptr<ROMol>(RDKit::SmartsToMol(ring + ":1"));
}

void mark_aromatic(const ROMol &mol, unsigned char *aromatic)
{
    static const std::unique_ptr<ROMol> patterns[] = {ring_pattern(4), ring_pattern(5), ring_pattern(6),
                                                      ring_pattern(7), ring_pattern(8)};
    for (const auto &pattern : patterns) {
        for (const auto &match : RDKit::SubstructMatch(mol, *pattern)) {
            for (const auto &pair : match) aromatic[pair.second] = 1;
        }
    }
}

int order_of(const RDKit::Bond &b)
{
    switch (b.getBondType()) {
    case RDKit::Bond::SINGLE: return 1;
    case RDKit::Bond::DOUBLE: return 2;
    case RDKit::Bond::TRIPLE: return 3;
    case RDKit::Bond::AROMATIC: return 4;
    default: return 0;
    }
}

void describe(const ROMol &mol, bf_rdkit_mol *out)
{
    std::vector<int> fragment;
    out->atoms = static_cast<int>(mol.getNumAtoms());
    out->bonds = static_cast<int>(mol.getNumBonds());
    out->origin = room_for<int>(mol.getNumAtoms());
    out->aromatic = room_for<unsigned char>(mol.getNumAtoms());
    out->bond = room_for<int>(3 * mol.getNumBonds());
    for (const auto atom : mol.atoms()) out->origin[atom->getIdx()] = atom->getProp<int>(place);
    mark_aromatic(mol, out->aromatic);
    int *b = out->bond;
    for (const auto bond : mol.bonds()) {
        *b++ = static_cast<int>(bond->getBeginAtomIdx());
        *b++ = static_cast<int>(bond->getEndAtomIdx());
        *b++ = order_of(*bond);
    }
    out->fragments = static_cast<int>(RDKit::MolOps::getMolFrags(mol, fragment));
    out->smiles = copy_of(RDKit::MolToSmiles(mol));
    RDKit::SmilesWriteParams plain;
    plain.doIsomericSmiles = false;
    RWMol bare(mol); /* also without the hydrogens that tell the two forms of an imine apart */
    RDKit::MolOps::removeAllHs(bare);
    out->plain = copy_of(RDKit::MolToSmiles(bare, plain));
}

/* One line of what an exception says. */
void explain(const std::string &what, char *message, size_t room)
{
    std::snprintf(message, room, "%s", what.substr(0, what.find('\n')).c_str());
}

} // namespace

void bf_rdkit_free(bf_rdkit_mol *m)
{
    std::free(m->origin);
    std::free(m->aromatic);
    std::free(m->bond);
    std::free(m->smiles);
    std::free(m->plain);
    *m = bf_rdkit_mol();
}

int bf_rdkit_standardise(const char *record, bf_rdkit_mol *out, char *message, size_t room)
{
    *out = bf_rdkit_mol();
    try {
        std::unique_ptr<RWMol> mol(RDKit::MolBlockToMol(record, false, false));
        if (!mol) {
            explain("the record cannot be read", message, room);
            return 1;
        }
        for (const auto atom : mol->atoms()) atom->setProp(place, static_cast<int>(atom->getIdx()));
        RDKit::MolOps::sanitizeMol(*mol);
        RDKit::MolOps::removeHs(*mol);
        describe(*mol, out);
        return 0;
    } catch (const std::bad_alloc &) {
        return 2;
    } catch (const Invar::Invariant &e) {
        explain(e.what(), message, room);
    } catch (const std::exception &e) {
        explain(e.what(), message, room);
    } catch (...) {
        explain("unknown failure", message, room);
    }
    return 1;
}

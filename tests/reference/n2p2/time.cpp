// How long n2p2 takes for energy and forces of the first structure of an input.data, its list of neighbours apart.
//
// Build against n2p2's library, with groups of symmetry functions and the cache as they are by default:
//   g++ -O3 -march=native -std=c++11 -I n2p2/include -I eigen time.cpp n2p2/lib/libnnp.a -o n2p2_time
// Use: n2p2_time DIRECTORY INPUT_DATA REPEATS; prints "S", atoms, energy, best CPU microseconds an atom.
#include "Prediction.h"
#include "Structure.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>

int main(int, char** arguments)
{
    std::string const folder = arguments[1];
    nnp::Prediction n2p2;
    n2p2.log.writeToStdout = false;
    n2p2.fileNameSettings = folder + "/input.nn";
    n2p2.fileNameScaling = folder + "/scaling.data";
    n2p2.formatWeightsFilesShort = folder + "/weights.%03zu.data";
    n2p2.setup();
    std::ifstream file(arguments[2]);
    nnp::Structure& s = n2p2.structure;
    s.setElementMap(n2p2.elementMap);
    s.readFromFile(file);
    n2p2.removeEnergyOffset(s);
    if (n2p2.useNormalization()) n2p2.convertToNormalizedUnits(s);
    s.calculateNeighborList(n2p2.getMaxCutoffRadius(), false);
    double best = 1e300;
    for (int repeat = 0; repeat <= std::atoi(arguments[3]); ++repeat)
    {
        for (auto& atom : s.atoms) atom.hasSymmetryFunctions = atom.hasSymmetryFunctionDerivatives = false;
        s.hasSymmetryFunctions = s.hasSymmetryFunctionDerivatives = false;
        std::clock_t const begin = std::clock();
        n2p2.calculateSymmetryFunctionGroups(s, true);
        n2p2.calculateAtomicNeuralNetworks(s, true);
        n2p2.calculateEnergy(s);
        n2p2.calculateForces(s);
        if (repeat > 0) best = std::min(best, double(std::clock() - begin) / CLOCKS_PER_SEC);
    }
    std::printf("S %zu %.15g %.6g\n", s.numAtoms, s.energy, best / s.numAtoms * 1e6);
    return 0;
}
